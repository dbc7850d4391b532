"""The figures of several models: a dendrogram, and a picture in the plane."""

from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from kullback.comparison.report import style
from kullback.comparison.report.style import COLOUR_A, INK, STYLE, short

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons


def draw(comparisons: "Comparisons") -> dict[str, Figure]:
    """The figures by name; none if a distance is not finite."""
    if comparisons.linkage is None:
        return {}
    with matplotlib.rc_context(STYLE):
        return {"dendrogram": _dendrogram(comparisons), "embedding": _embedding(comparisons)}


def _dendrogram(comparisons: "Comparisons") -> Figure:
    from scipy.cluster.hierarchy import dendrogram

    figure = style.figure(1.2 + 0.28 * len(comparisons.names))
    axes = figure.subplots()
    assert comparisons.linkage is not None
    tree = dendrogram(comparisons.linkage, no_plot=True)
    for heights, places in zip(tree["dcoord"], tree["icoord"], strict=True):
        axes.plot(heights, places, color=COLOUR_A, linewidth=1.4, solid_capstyle="butt")
    axes.axvline(comparisons.grouped_below, color=INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(5 + 10 * np.arange(len(comparisons.names)), [short(comparisons.names[i]) for i in tree["leaves"]])
    axes.set_ylim(0, 10 * len(comparisons.names))
    axes.set_xlim(left=0)
    axes.set_xlabel("nats after alignment, mean of both directions")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure


def _embedding(comparisons: "Comparisons") -> Figure:
    assert comparisons.embedding is not None
    points, share = comparisons.embedding
    figure = style.figure(3.4)
    axes = figure.subplots()
    x, y = points.mT.numpy()
    axes.plot(x, y, "o", color=COLOUR_A, markersize=6)
    for name, place in zip(comparisons.names, zip(x, y, strict=True), strict=True):
        right = place[0] > x.mean()
        axes.annotate(
            short(name), place, xytext=(-7 if right else 7, 5), textcoords="offset points",
            ha="right" if right else "left", color=INK,
        )  # fmt: skip
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.15)
    axes.set_xlabel(f"square roots of nats; {share:.0%} of the scatter is shown")
    axes.locator_params(nbins=5)
    return figure
