"""The style that all figures share: legible on a phone, in colours that a page replaces by those of its theme."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kullback.io.text import printable

INK, GRID, COLOUR_A, COLOUR_B, COLLAPSED = "#1c2026", "#d9dde4", "#2b62d9", "#d8560f", "#b3bac5"

COLOURS = (COLOUR_A, COLOUR_B)
"""Of each of two models, or of each of the two directions between them."""

VARIABLES = {INK: "--ink", GRID: "--grid", COLOUR_A: "--a", COLOUR_B: "--b", COLLAPSED: "--collapsed"}
"""The variables of the style sheet by which a page replaces these colours, which differ in light and dark themes."""

MAX_DRAWABLE = 1e300
"""The limits of axes overflow above this value."""

MAX_DIMENSIONS = 40
"""How many dimensions a figure shows at most."""

# Inches. The width in points is that of a phone's screen in pixels, so that text keeps its size there.
_WIDTH = 4.4

STYLE: Any = {
    "font.size": 10,
    "font.family": "sans-serif",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "svg.fonttype": "none",
}
"""The settings of matplotlib in which figures are drawn."""


def figure(height: float) -> Figure:
    """An empty figure of the common width and this height, in inches."""
    return Figure(figsize=(_WIDTH, height), layout="constrained")


def short(name: str) -> str:
    """A name of at most 24 characters, for a legend."""
    name = printable(name)
    if name.startswith("_"):  # matplotlib omits such labels from legends.
        name = f" {name}"
    return name if len(name) <= 24 else f"{name[:23]}…"


def logarithmic(axes: Any, which: str) -> None:
    """Give an axis a logarithmic scale with plain numbers: 1, 2, 5, 10, … where there is room for them."""
    axes.set(**{f"{which}scale": "log"})
    axis = getattr(axes, f"{which}axis")
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1e3 * low else (1,), numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def legend_above(axes: Any) -> None:
    """A legend above the axes, in a row if it is short."""
    labels = axes.get_legend_handles_labels()[1]
    columns = len(labels) if sum(map(len, labels)) < 36 else 1
    axes.legend(fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, columnspacing=1)
