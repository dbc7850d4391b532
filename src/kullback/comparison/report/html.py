"""A comparison as one offline HTML page: inline SVG, no script, nothing fetched."""

import io
import os
import re
import warnings
from functools import cache
from typing import TYPE_CHECKING

import jinja2
import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from kullback._version import __version__
from kullback.comparison.coordinates import Match
from kullback.comparison.findings import MAPS
from kullback.comparison.format import number, plus_minus
from kullback.comparison.report import figures
from kullback.io.output import check_writable, write_text
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare import Comparison

_COLOURS = {
    figures.INK: "var(--ink)",
    figures.GRID: "var(--grid)",
    figures.COLOUR_A: "var(--a)",
    figures.COLOUR_B: "var(--b)",
    figures.COLLAPSED: "var(--collapsed)",
}

_CAPTIONS = {
    "decomposition": "The mean divergence over inputs that no map was fitted to: as the models stand, after each "
    "change of coordinates, and what the best kind of change leaves of inputs paired at random.",
    "matching": "The mean divergence of each dimension of one model from each of the other, with the better sign: in "
    "their order, and with each dimension beside the one that it is matched to. A match shows as a light diagonal.",
    "dimensions": "Above: the mean divergence of each latent dimension from the prior; collapsed dimensions "
    "are grey and not to scale. Below: the mean divergence between the two models in each "
    "dimension.",
    "distribution": "The distribution of the divergence over inputs; the arrows point at the largest values.",
    "directions": "Each point is an input: the divergence in one direction against the divergence in the other.",
    "ellipses": "Ellipses at one and two standard deviations, in the two dimensions that differ most. Left: the "
    "aggregated posterior of each model, without correlations between dimensions. Right: the posteriors of the input "
    "that differs most.",
}


# How many dimensions the table of matches lists.
_ROWS_SHOWN = 64


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("kullback.comparison", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(comparison: "Comparison") -> str:
    """The complete page."""
    return _render("page.html.j2", comparison)


def write(comparison: "Comparison", path: str | os.PathLike[str]) -> None:
    """Write the page to a file, completely or not at all."""
    check_writable(path, (".html", ".htm"))
    write_text(path, page(comparison))


def fragment(comparison: "Comparison") -> str:
    """The findings and the first table, for a notebook."""
    return _render("fragment.html.j2", comparison, pictures=False)


def _render(template: str, comparison: "Comparison", *, pictures: bool = True) -> str:
    drawn = figures.draw(comparison) if pictures else {}
    return (
        _environment()
        .get_template(template)
        .render(
            comparison=comparison,
            names=comparison.names,
            # A zero-width space allows a line break before the second name, and nowhere else.
            labels={key: label.replace("‖", "‖\u200b") for key, label in comparison.labels().items()},
            findings=comparison.findings(),
            statistics={pair: comparison.statistics(pair) for pair in comparison.summary.divergences},
            pictures=[(name, Markup(svg(figure, name)), _CAPTIONS[name]) for name, figure in drawn.items()],
            found=comparison.coordinates,
            maps=MAPS,
            match_word=_match_word,
            rows_shown=_ROWS_SHOWN,
            number=number,
            plus_minus=plus_minus,
            printable=printable,
            version=__version__,
        )
    )


def _match_word(match: Match) -> str:
    """What a row of the table of matches says in its last column."""
    if match.are_partners:
        return "partners"
    collapsed = [name for name, is_so in (("first", match.collapsed_a), ("second", match.collapsed_b)) if is_so]
    return {0: "no partners", 1: f"the {''.join(collapsed)} is collapsed", 2: "both are collapsed"}[len(collapsed)]


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element with the colours of the page and with ids that occur in no other figure."""
    buffer = io.StringIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        # The browser draws the text in its own fonts, so that glyphs missing from matplotlib's do not matter.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    # matplotlib gives the groups of every figure the same ids, and an id must be unique on a page.
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for colour, variable in _COLOURS.items():
        text = text.replace(colour, variable)
    return text.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)
