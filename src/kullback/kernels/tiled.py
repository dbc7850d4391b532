"""The kernels in torch arithmetic, tile by tile, so that what is computed on the way stays in a cache.

float32 is computed in float64, where ``e^x - 1 - x`` has digits to spare but for the smallest x. float64 has nothing
wider: its tiles are computed, and differentiated, by the formula.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from kullback.kernels.buffers import empty
from kullback.kernels.layout import Layout
from kullback.relative.axes import Axes
from kullback.scale.diagonal import Diagonal, Parameterisation

# What is served.
KINDS = frozenset(("std", "variance", "logvar"))

# Elements of a tile.
_TILE = 2**15

# Below, four terms of a series are exact enough for float32, and a difference in float64 is not.
_SMALL = 3e-3

# Half a log-variance of this size is beyond float32 on every mean but 0.
_LIMIT = 700.0


def value(operands: Sequence[Tensor], layout: Layout) -> Tensor:
    """The divergence of each row."""
    return _run(operands, layout, None, [], with_value=True)


def gradients(
    operands: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The derivatives of the weighted sum of the rows' divergences with respect to each operand, of full shape."""
    found = empty(layout.shapes, operands[0].dtype, wanted)
    _run(operands, layout, weight, found, with_value=False)
    return found


def value_and_gradients(
    operands: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """Both in one pass over the operands."""
    found = empty(layout.shapes, operands[0].dtype, wanted)
    return _run(operands, layout, weight, found, with_value=True), found


def _run(
    operands: Sequence[Tensor],
    layout: Layout,
    weight: Tensor | None,
    found: Sequence[Tensor | None],
    *,
    with_value: bool,
) -> Tensor:
    rows, n, dtype = layout.rows, layout.n, operands[0].dtype
    seen = [
        x.detach().as_strided((rows, n), steps) for x, *steps in zip(operands, layout.row, layout.column, strict=True)
    ]
    weights = None if weight is None else weight.expand(layout.batch).reshape(rows, 1)
    into = [None if x is None else x.view(rows, n) for x in found]
    total = torch.zeros(rows, dtype=torch.float64)
    compute = _wide if dtype == torch.float32 else _by_formula
    for tile in _tiles(rows, n):
        w = None if weights is None else weights[tile[0]]
        terms, slopes = compute([x[tile] for x in seen], layout, w, [x is not None for x in into])
        if with_value:
            total[tile[0]] += terms.sum(-1, dtype=torch.float64)
        for target, slope in zip(into, slopes, strict=False):
            if target is not None and slope is not None:
                target[tile] = slope
    return total.to(dtype).reshape(layout.batch)


def _tiles(rows: int, n: int) -> Iterator[tuple[slice, slice]]:
    height, width = max(1, _TILE // n), min(n, _TILE)
    for row in range(0, rows, height):
        for column in range(0, n, width):
            yield slice(row, row + height), slice(column, column + width)


Slopes = list[Tensor | None]


def _wide(x: Sequence[Tensor], layout: Layout, weight: Tensor | None, wanted: Sequence[bool]) -> tuple[Tensor, Slopes]:
    """In float64, by the expressions that need it."""
    mean_p, a, mean_q, b = (v.double() for v in x)
    delta = mean_p - mean_q
    if layout.kind == "logvar":
        change = a - b
        grown = torch.expm1(change)
        series = change * change * (0.5 + change * (1.0 / 6.0 + change * (1.0 / 24.0 + change * (1.0 / 120.0))))
        excess = torch.where(change.abs() < _SMALL, series, grown - change)
        root = torch.exp((-0.5 * b).clamp(-_LIMIT, _LIMIT))
        z = delta * root
        square = z * z
        if weight is None:
            return 0.5 * (excess + square), []
        slope, for_p, for_q = z * root, 0.5 * grown, -0.5 * (grown + square)
    else:
        valid = (a > 0.0) & (b > 0.0)
        b = torch.where(valid, b, torch.nan)
        inverse = 1.0 / b
        t = (a - b) * inverse
        series = t * t * (0.5 - t * (1.0 / 3.0 - t * (0.25 - 0.2 * t)))
        psi = torch.where(t.abs() < _SMALL, series, t - torch.log(a * inverse))
        slope = delta * inverse
        if layout.kind == "std":
            square = slope * slope
            term = 0.5 * (t * t + square) + psi
            if weight is None:
                return term, []
            both = t * (t + 2.0)
            slope, for_p, for_q = slope * inverse, both / a, -(both + square) * inverse
        else:
            square = delta * slope
            term = 0.5 * (psi + square)
            if weight is None:
                return term, []
            for_p, for_q = 0.5 * t / a, -0.5 * (t + square) * inverse
        excess = 2.0 * term - square
    slope = weight * slope
    return 0.5 * (excess + square), [slope, weight * for_p if wanted[1] else None, -slope, weight * for_q]


def _by_formula(
    x: Sequence[Tensor], layout: Layout, weight: Tensor | None, wanted: Sequence[bool]
) -> tuple[Tensor, Slopes]:
    if weight is None:
        return _terms(x, layout), []
    with torch.enable_grad():
        leaves = [v.detach().requires_grad_(want) for v, want in zip(x, wanted, strict=True)]
        terms = _terms(leaves, layout)
        at = [v for v in leaves if v.requires_grad]
        found = iter(torch.autograd.grad(terms, at, weight.expand(terms.shape)))
    return terms.detach(), [next(found) if want else None for want in wanted]


def _terms(x: Sequence[Tensor], layout: Layout) -> Tensor:
    mean_p, a, mean_q, b = x
    kind = cast(Parameterisation, layout.kind)
    scales = [Diagonal(v if kind == "logvar" else torch.where(v > 0, v, torch.nan), kind) for v in (a, b)]
    pair = Axes.of(mean_p, scales[0], mean_q, scales[1], torch.Size())
    return pair.excess_terms() + pair.square_terms()
