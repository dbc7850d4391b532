"""A comparison as one offline HTML page: inline SVG, no script, nothing fetched."""

import io
import re
import warnings
from functools import cache

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

import kullback
from kullback.comparison.compare import Comparison
from kullback.comparison.findings import number, plus_minus
from kullback.comparison.report import figures
from kullback.io.text import printable

_COLOURS = {
    figures.INK: "var(--ink)",
    figures.GRID: "var(--grid)",
    figures.COLOUR_A: "var(--a)",
    figures.COLOUR_B: "var(--b)",
    figures.COLLAPSED: "var(--collapsed)",
}

_CAPTIONS = {
    "dimensions": "Above: the mean divergence of each latent dimension from the prior, collapsed ones (under 0.01 "
    "nats) in grey, not to scale. Below: the mean divergence between the two models in each dimension.",
    "distribution": "How the divergence is distributed over inputs; the arrows point at the largest.",
    "directions": "Each point is an input: the divergence one way against the other way.",
    "ellipses": "One and two standard deviations in the dimensions that differ most. Left: of all that each encoder "
    "samples, dimension by dimension (correlations between dimensions are not drawn). Right: of the input that "
    "differs most.",
}


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kullback", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(comparison: Comparison) -> str:
    """The whole page."""
    return _render("page.html.j2", comparison)


def fragment(comparison: Comparison) -> str:
    """What a notebook shows: findings and the first table."""
    return _render("fragment.html.j2", comparison, pictures=False)


def _render(template: str, comparison: Comparison, *, pictures: bool = True) -> str:
    drawn = comparison.figures() if pictures else {}
    return (
        _environment()
        .get_template(template)
        .render(
            comparison=comparison,
            names=comparison.names,
            # A line may break before the second name, and nowhere else.
            labels={key: label.replace("‖", "‖\u200b") for key, label in comparison.labels().items()},
            findings=comparison.findings(),
            statistics={which: comparison.statistics(which) for which in comparison.summary.divergences},
            pictures=[(name, Markup(svg(figure, name)), _CAPTIONS[name]) for name, figure in drawn.items()],
            number=number,
            plus_minus=plus_minus,
            printable=printable,
            version=kullback.__version__,
        )
    )


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element whose colours are the page's and whose ids are its own."""
    buffer = io.StringIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        # Letters stay text, drawn by the browser with its own fonts: what matplotlib's lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # Every figure numbers its groups alike; on one page an id may stand once.
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
