"""The figures of a result, one function for each, drawn with matplotlib: here those over dimensions."""

import math
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from kullback.comparison.findings import MAPS
from kullback.comparison.format import number
from kullback.comparison.pair import MODELS, Pair
from kullback.comparison.report import style
from kullback.comparison.report.input_figures import directions, distribution, ellipses
from kullback.comparison.report.style import (
    COLLAPSED,
    COLOUR_A,
    COLOURS,
    INK,
    MAX_DIMENSIONS,
    MAX_DRAWABLE,
    STYLE,
    legend_above,
    logarithmic,
    short,
)

if TYPE_CHECKING:
    from kullback.comparison.result import Result

# Of each of the two models: the horizontal offset of its bars.
_OFFSETS = (-0.2, 0.2)
_DIRECTIONS = (Pair.AB, Pair.BA)


def draw(comparison: "Result", names: Collection[str] | None = None) -> dict[str, Figure]:
    """The figures of these names, or all, in the order of the report; those without data are omitted."""
    found = comparison.coordinates
    missing = () if found and found.matches else ("matching",) if found else _OF_ALIGNMENTS
    wanted = [name for name in comparison.figure_names if (names is None or name in names) and name not in missing]
    with matplotlib.rc_context(STYLE):
        return {name: _DRAWINGS[name](comparison) for name in wanted}


def _heights(comparison: "Result", pair: Pair) -> np.ndarray[Any, Any]:
    values = comparison.per_dimension(pair).numpy()
    return np.where(values < MAX_DRAWABLE, values, 0.0)


def _name_dimensions(axes: Any, comparison: "Result", order: np.ndarray[Any, Any]) -> None:
    """Name as many of these dimensions, which stand at 0, 1, 2, …, as there is room for."""
    step = max(1, len(order) // 12)
    names = [comparison.dimension_name(int(i)) for i in order[::step]]
    axes.set_xticks(np.arange(0, len(order), step), names)


def _decomposition(comparison: "Result") -> Figure:
    found = comparison.coordinates
    assert found is not None
    bars = [("as they stand", found.best.unaligned, COLOUR_A)]
    bars += [(f"after {MAPS[kind]}", a.aligned, COLOUR_A) for kind, a in found.alignments.items()]
    bars.append(("inputs paired at random", found.best.chance, COLLAPSED))
    figure = style.figure(0.8 + 0.45 * len(bars))
    axes = figure.subplots()
    values = [min(mean.mean, MAX_DRAWABLE) for _, mean, _ in bars]
    places = range(len(bars))
    axes.barh(places, values, 0.62, color=[colour for *_, colour in bars])
    for place, value, (_, mean, _) in zip(places, values, bars, strict=True):
        axes.annotate(number(mean.mean), (value, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [name for name, *_ in bars])
    axes.invert_yaxis()
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    figure.supxlabel(f"mean {short(comparison.labels()[Pair.AB])}, nats", fontsize=10)
    axes.grid(visible=False, axis="y")
    return figure


def _matching(comparison: "Result") -> Figure:
    found = comparison.coordinates
    assert found is not None
    # The dimensions of A that are least collapsed, in their order, and then each beside its partner.
    rates = comparison.per_dimension(Pair.RATE_A)
    of_a = sorted(rates.argsort(descending=True, stable=True)[:MAX_DIMENSIONS].tolist())
    matches = {match.a: match for match in found.matches}
    matched = sorted(of_a, key=lambda a: not matches[a].are_partners)
    of_b = [matches[a].b for a in matched]
    # What is infinity minus infinity, NaN, is left blank.
    values = np.clip(found.pair_divergences.numpy(), 1e-3, MAX_DRAWABLE)
    low, high = np.fmin.reduce(values, None, initial=MAX_DRAWABLE), np.fmax.reduce(values, None, initial=1e-3)
    limits = {"vmin": max(low, 1e-2 * high) if low < high else high, "vmax": high * (1 + 1e-9)}
    # Few enough colours for a colour bar of vector graphics.
    colours = matplotlib.colormaps["viridis_r"].resampled(32)
    figure = style.figure(3.2)
    before, after = figure.subplots(1, 2)
    panels = ((before, of_a, sorted(of_b), "as they stand"), (after, matched, of_b, "partners first"))
    for axes, columns, order, title in panels:
        mesh = axes.pcolormesh(values[np.ix_(order, columns)], cmap=colours, norm=LogNorm(**limits), linewidth=0)
        axes.set_title(title, fontsize=10)
        axes.invert_yaxis()
        step = max(1, len(of_a) // 6)
        for axis, dims in ((axes.xaxis, columns), (axes.yaxis, order)):
            axis.set_ticks(np.arange(0, len(dims), step) + 0.5, [comparison.dimension_name(i) for i in dims[::step]])
        axes.set_xlabel(f"dimension of {short(comparison.names[0])}")
        axes.grid(visible=False)
    before.set_ylabel(f"dimension of {short(comparison.names[1])}")
    bar = figure.colorbar(mesh, ax=(before, after), location="bottom", label="mean KL of the pair, nats", aspect=40)
    ends = np.geomspace(limits["vmin"], limits["vmax"], 4)
    bar.set_ticks(ends.tolist(), labels=[f"{x:.2g}" for x in ends])
    bar.minorticks_off()
    return figure


def _dimensions(comparison: "Result") -> Figure:
    figure = style.figure(4.8)
    rates, between = figure.subplots(2, 1, sharex=True)
    order = _draw_rates(figure, rates, comparison)
    x, labels = np.arange(len(order)), comparison.labels()
    for pair, colour, offset in zip(_DIRECTIONS, COLOURS, _OFFSETS, strict=True):
        between.bar(x + offset, _heights(comparison, pair)[order], 0.38, color=colour, label=short(labels[pair]))
    between.set_ylabel("nats from each other")
    legend_above(between)
    _finish_dimensions(between, comparison, order)
    return figure


def _rates(comparison: "Result") -> Figure:
    figure = style.figure(2.8)
    axes = figure.subplots()
    _finish_dimensions(axes, comparison, _draw_rates(figure, axes, comparison))
    return figure


def _draw_rates(figure: Figure, axes: Any, comparison: "Result") -> np.ndarray[Any, Any]:
    """Draw the rates of the dimensions that differ most, which are returned in their order."""
    order = np.sort(comparison.most_different(MAX_DIMENSIONS))
    d = math.prod(comparison.event_shape)
    if d > len(order):
        figure.suptitle(f"the {len(order)} of {d:,} dimensions that differ most", fontsize=10)
    x = np.arange(len(order))
    for model, name, colour, offset in _each_model(comparison):
        rate = _heights(comparison, Pair.rate(model))[order]
        collapsed = comparison.collapsed(model).numpy()[order]
        colours = np.where(collapsed, COLLAPSED, colour)
        # The rate of a collapsed dimension would be too small to see.
        height = np.where(
            collapsed, np.maximum(rate, 0.02 * max(rate.max(), comparison.thresholds.collapsed_nats)), rate
        )
        axes.bar(x + offset, height, 0.38, color=colours)
        axes.bar([0], [0], color=colour, label=short(name))
    axes.bar([0], [0], color=COLLAPSED, label="collapsed")
    axes.set_ylabel("nats from the prior")
    axes.grid(visible=False, axis="x")
    legend_above(axes)
    return order


def _finish_dimensions(axes: Any, comparison: "Result", order: np.ndarray[Any, Any]) -> None:
    axes.set_xlabel("latent dimension")
    axes.grid(visible=False, axis="x")
    _name_dimensions(axes, comparison, order)


def _each_model(comparison: "Result") -> Iterator[tuple[str, str, str, float]]:
    """Of each model what it is called, here and by the caller, its colour, and the offset of its bars."""
    offsets = _OFFSETS if len(comparison.names) > 1 else (0.0,)
    return zip(MODELS, comparison.names, COLOURS, offsets, strict=False)


def _left(comparison: "Result") -> Figure:
    found = comparison.coordinates
    assert found is not None
    values = np.minimum(found.per_dimension.numpy(), MAX_DRAWABLE)
    order = np.sort(np.argsort(-values, kind="stable")[:MAX_DIMENSIONS])
    figure = style.figure(2.6)
    axes = figure.subplots()
    x = np.arange(len(order))
    axes.bar(x, values[order], 0.7, color=COLOUR_A)
    axes.bar(len(order) + 0.5, min(found.from_correlations, MAX_DRAWABLE), 0.7, color=COLLAPSED, label="correlations")
    if found.from_correlations:
        legend_above(axes)
    _name_dimensions(axes, comparison, order)
    axes.set_xlabel(f"dimension of {short(comparison.names[1])}")
    axes.set_ylabel(f"nats left after {MAPS[found.best.kind]}")
    axes.grid(visible=False, axis="x")
    return figure


def _widths(comparison: "Result") -> Figure:
    figure = style.figure(2.8)
    axes = figure.subplots()
    order = np.sort(comparison.most_different(MAX_DIMENSIONS))
    x = np.arange(len(order))
    drawn = [np.sqrt(comparison.prior_variance.numpy())[order]]
    axes.step(
        np.append(x - 0.5, x[-1] + 0.5), np.append(drawn[0], drawn[0][-1]), where="post", color=INK, linewidth=0.8,
        linestyle="--", label="prior",
    )  # fmt: skip
    for model, name, colour, offset in _each_model(comparison):
        width = np.sqrt(comparison.summary.models[model].variances.mean.flatten().numpy())[order]
        drawn.append(np.where(width < MAX_DRAWABLE, width, np.nan))
        axes.plot(x + offset / 2, drawn[-1], "o", markersize=4, color=colour, label=short(name))
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if values.min() > 0 and values.max() > 10 * values.min():
        logarithmic(axes, "y")
    else:
        axes.set_ylim(bottom=0)
    legend_above(axes)
    _name_dimensions(axes, comparison, order)
    axes.set_xlabel("latent dimension")
    axes.set_ylabel("standard deviation")
    axes.grid(visible=False, axis="x")
    return figure


# By name.
_DRAWINGS: "dict[str, Callable[[Result], Figure]]" = {
    "decomposition": _decomposition,
    "matching": _matching,
    "left": _left,
    "dimensions": _dimensions,
    "rates": _rates,
    "widths": _widths,
    "distribution": distribution,
    "directions": directions,
    "ellipses": ellipses,
}
_OF_ALIGNMENTS = ("decomposition", "matching", "left")
