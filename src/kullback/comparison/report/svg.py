"""A figure as an SVG element of a page."""

import io
import re
import warnings

import matplotlib
from markupsafe import escape
from matplotlib.figure import Figure

from kullback.comparison.report.style import VARIABLES


def svg(figure: Figure, name: str, description: str) -> str:
    """A figure in the colours of the page, with ids that occur in no figure of another name.

    Args:
        figure: it has been drawn in ``STYLE``.
        name: letters, digits and hyphens; ids begin with it.
        description: what a screen reader says instead of the figure.
    """
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
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(description)}"', 1)
