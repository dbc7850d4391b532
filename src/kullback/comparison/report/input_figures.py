"""The figures over inputs: their divergences, in one direction and in both, and the posteriors of the one that differs
most.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from kullback.comparison.findings import MAPS
from kullback.comparison.pair import MODELS, Pair
from kullback.comparison.report import style
from kullback.comparison.report.style import (
    COLOUR_A,
    COLOURS,
    INK,
    MAX_DRAWABLE,
    legend_above,
    logarithmic,
    short,
)
from kullback.gaussians.gaussian import Gaussian

if TYPE_CHECKING:
    from kullback.comparison.result import Result

_MAX_POINTS = 2000


def _bins(values: np.ndarray[Any, Any]) -> tuple[list[float], bool]:
    """The edges of a histogram, and whether they are logarithmic: where values span more than a factor of ten."""
    low, high = float(values.min()), float(values.max())
    if low > 0 and high / low > 10:
        return np.geomspace(low, high, 51).tolist(), True
    if high - low <= 1e-12 * abs(high):
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, 51).tolist(), False


def distribution(comparison: "Result") -> Figure:
    """The histogram of the divergences of inputs."""
    figure = style.figure(3.0)
    axes = figure.subplots()
    divergences = comparison.summary.divergences
    labels, found = comparison.labels(), comparison.coordinates
    rows = [_drawable(comparison.summary.rows(pair).numpy()) for pair in comparison.shown]
    left = [_drawable(found.rows.numpy())] if found else []
    edges, is_logarithmic = _bins(np.concatenate([*rows, *left]))
    for values, pair, colour in zip(rows, comparison.shown, COLOURS, strict=False):
        axes.hist(values, edges, color=colour, alpha=0.55, label=short(labels[pair]))
    if found:
        name = f"after {MAPS[found.best.kind]}"
        axes.hist(left[0], edges, histtype="step", color=COLOUR_A, linewidth=1.4, label=name)
    if is_logarithmic:
        logarithmic(axes, "x")
    for pair, height in zip(comparison.shown, (36, 20), strict=False):
        largest = divergences[pair].largest
        if largest.values[0] < MAX_DRAWABLE:
            axes.annotate(
                f"input {short(str(largest.ids[0]))}",
                (largest.values[0], 0),
                xytext=(0, height),
                textcoords="offset points",
                ha="center",
                fontsize=9,
                arrowprops={"arrowstyle": "->", "color": INK},
            )
    axes.set_xlabel("KL of one input, nats")
    sampled = comparison.summary.sampled
    axes.set_ylabel(f"inputs, of a sample of {sampled:,}" if sampled else "inputs")
    legend_above(axes)
    return figure


def _drawable(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    finite = values[values < MAX_DRAWABLE]
    return finite if len(finite) else np.zeros(1)


def directions(comparison: "Result") -> Figure:
    """The divergence of each input in one direction against that in the other."""
    figure = style.figure(4.2)
    axes = figure.subplots()
    x, y = (comparison.summary.rows(pair).numpy() for pair in (Pair.AB, Pair.BA))
    if len(x) > _MAX_POINTS:
        chosen = np.linspace(0, len(x) - 1, _MAX_POINTS).astype(int)
        x, y = x[chosen], y[chosen]
        how = "drawn at random" if comparison.summary.sampled else "evenly spaced"
        axes.set_title(f"{_MAX_POINTS:,} of {comparison.summary.count:,} inputs, {how}", fontsize=10)
    finite = (x < MAX_DRAWABLE) & (y < MAX_DRAWABLE)
    x, y = x[finite], y[finite]
    if len(x):
        size, alpha = (3, 0.5) if len(x) > 500 else (6, 0.8)
        axes.plot(x, y, ".", markersize=size, alpha=alpha, color=COLOUR_A, markeredgewidth=0)
        ends = [min(x.min(), y.min()), max(x.max(), y.max())]
        axes.plot(ends, ends, color=INK, linewidth=0.8, linestyle="--", label="equal in both directions")
        axes.legend(fontsize=9)
        if 0 < 10 * ends[0] < ends[1]:
            logarithmic(axes, "x")
            logarithmic(axes, "y")
    labels = comparison.labels()
    axes.set_xlabel(f"{short(labels[Pair.AB])}, nats")
    axes.set_ylabel(f"{short(labels[Pair.BA])}, nats")
    return figure


def ellipses(comparison: "Result") -> Figure:
    """Both models in the two dimensions that differ most: over all inputs, and of the input that differs most."""
    figure = style.figure(3.1)
    all_inputs, worst = figure.subplots(1, 2)
    dims = comparison.most_different()
    summary = comparison.summary
    largest, pair = summary.divergences[Pair.AB].largest, summary.divergences[Pair.AB].pair
    for model, name, colour, posterior in zip(MODELS, comparison.names, COLOURS, pair, strict=True):
        # The mean and variance of the aggregated posterior, by the law of total variance in each dimension.
        spread = summary.models[model].variances.mean + summary.models[model].means.variance.nan_to_num()
        aggregated = summary.models[model].means.mean.flatten()[dims], spread.flatten()[dims].sqrt()
        _draw_ellipses(all_inputs, *aggregated, colour, short(name))
        _draw_ellipses(worst, *_moments(posterior, dims), colour, None)
    all_inputs.set_title("over all inputs", fontsize=10)
    worst.set_title(f"input {short(str(largest.ids[0]))}", fontsize=10)
    for axes in (all_inputs, worst):
        axes.autoscale_view()
        axes.margins(0.1)
        axes.set_xlabel(f"dimension {comparison.dimension_name(dims[0])}")
    if len(dims) > 1:
        all_inputs.set_ylabel(f"dimension {comparison.dimension_name(dims[1])}")
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)
    return figure


def _moments(posterior: Gaussian, dims: list[int]) -> tuple[Any, Any]:
    return posterior.mean.flatten()[dims], posterior.scale.stds(posterior.event_shape).flatten()[dims]


def _draw_ellipses(axes: Any, mean: Any, std: Any, colour: str, label: str | None) -> None:
    """Draw the 1σ and 2σ ellipses of a diagonal Gaussian; intervals if it has one coordinate, and nothing where no axis
    reaches.
    """
    x, y = (*(float(v) for v in mean), 0.0)[:2]
    std_x, std_y = (*(float(v) for v in std), 0.0)[:2]
    if not max(abs(x), abs(y), 4 * std_x, 4 * std_y) < MAX_DRAWABLE:
        axes.plot([], [], color=colour, label=label)
        return
    for k, width in ((1, 1.6), (2, 0.8)):
        axes.add_patch(
            Ellipse(
                (x, y), 2 * k * std_x, 2 * k * std_y, fill=False, edgecolor=colour, linewidth=width,
                    label=label if k == 1 else None)
        )  # fmt: skip
    axes.plot(x, y, "+", color=colour, markersize=6)
