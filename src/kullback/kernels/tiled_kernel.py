"""Pairs of diagonals in torch arithmetic, tile by tile, so that intermediate results stay in a cache.

For float32 inputs only the differences that cancel are computed in float64: ``t - log(1 + t)`` with
``t = (a - b) / b``, and ``e^x - 1 - x`` except for the smallest x, where a series is used. Torch has no dtype wider
than float64, so float64 tiles are computed and differentiated by the reference formula.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import cast

import torch
from torch import Tensor

from kullback.gaussians.scales.diagonal import Diagonal, Parameterization
from kullback.kernels.layout import Layout, gradient_buffers
from kullback.kernels.protocol import Work
from kullback.pairs.diagonal import DiagonalPair

# The number of elements of a tile.
_TILE = 2**14

# Below this x two terms of the series are exact to float32, and soon the difference in float64 is not.
_SMALL = 1e-4

# Ratios of scales below a thousandth are computed by the reference formula.
_LEAST = -0.999

# At half a log-variance of this size the mean term overflows float32 for every difference of means but 0.
_LIMIT = 700.0


class TiledKernel:
    """Pairs of diagonals, tile by tile."""

    def unsupported_reason(self, work: Work, parameterization: str, d: int) -> str | None:
        """Why these tiles cannot do this; None if they can."""
        return None if work == "kl" and parameterization in _COMPUTE else "divergences of pairs of diagonals"

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""
        return _run(tensors, layout, None, [], with_value=True)

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor."""
        gradients = gradient_buffers(tensors, layout, wanted)
        _run(tensors, layout, weight, gradients, with_value=False)
        return gradients

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Both in one pass over the tensors."""
        gradients = gradient_buffers(tensors, layout, wanted)
        return _run(tensors, layout, weight, gradients, with_value=True), gradients


def _run(
    tensors: Sequence[Tensor],
    layout: Layout,
    weight: Tensor | None,
    gradients: Sequence[Tensor | None],
    *,
    with_value: bool,
) -> Tensor:
    rows, n, dtype = layout.n_rows, layout.n, tensors[0].dtype
    as_rows = [
        x.detach().as_strided((rows, n), steps)
        for x, *steps in zip(tensors, layout.row_stride, layout.column_stride, strict=True)
    ]
    weights = None if weight is None else weight.expand(layout.batch).reshape(rows, 1)
    into = [None if x is None else x.view(rows, n) for x in gradients]
    compute = _COMPUTE[layout.parameterization] if dtype == torch.float32 else _by_reference(layout.parameterization)
    total = torch.zeros(rows, dtype=torch.float64) if with_value else None
    if rows * n <= _TILE:
        compute(as_rows, weights, into, total)
    else:
        for row, column in _tiles(rows, n):
            x, targets = [v[row, column] for v in as_rows], [None if v is None else v[row, column] for v in into]
            w, sums = (None if v is None else v[row] for v in (weights, total))
            compute(x, w, targets, sums)
    return torch.empty(0) if total is None else total.to(dtype).reshape(layout.batch)


def _tiles(rows: int, n: int) -> Iterator[tuple[slice, slice]]:
    height, width = max(1, _TILE // n), min(n, _TILE)
    for row in range(0, rows, height):
        for column in range(0, n, width):
            yield slice(row, row + height), slice(column, column + width)


# What is computed of a tile: with weights the gradients, into their places; the sum of each row is added to the last.
Into = Sequence[Tensor | None]
Compute = Callable[[Sequence[Tensor], Tensor | None, Into, Tensor | None], None]


def _std(t: Tensor, x: Sequence[Tensor], weight: Tensor | None, into: Into, total: Tensor | None) -> None:
    mean_p, a, mean_q, b = x
    z = (mean_p - mean_q).div_(b)
    if total is not None:
        term = t.log1p()
        total += torch.sub(t, term, out=term).addcmul_(t, t, value=0.5).addcmul_(z, z, value=0.5).sum(-1)
    if weight is not None:
        both = t.addcmul_(t, t, value=0.5).mul_(2.0).float()  # (a/b)^2 - 1
        if into[3] is not None:
            torch.addcmul(both, z, z, out=into[3]).div_(b).mul_(weight).neg_()
        if into[1] is not None:
            torch.div(both, a, out=into[1]).mul_(weight)
        _store_means(into, z.div_(b).mul_(weight))


def _variance(t: Tensor, x: Sequence[Tensor], weight: Tensor | None, into: Into, total: Tensor | None) -> None:
    mean_p, a, mean_q, b = x
    delta = mean_p - mean_q
    slope = delta / b
    if total is not None:
        term = t.log1p()
        total.add_(torch.sub(t, term, out=term).addcmul_(delta, slope).sum(-1), alpha=0.5)
    if weight is not None:
        half = t.mul_(0.5).float()
        if into[3] is not None:
            torch.addcmul(half, delta, slope, value=0.5, out=into[3]).div_(b).mul_(weight).neg_()
        if into[1] is not None:
            torch.div(half, a, out=into[1]).mul_(weight)
        _store_means(into, slope.mul_(weight))


def _logvar(x: Sequence[Tensor], weight: Tensor | None, into: Into, total: Tensor | None) -> None:
    mean_p, a, mean_q, b = x
    change = a.double().sub_(b)
    grown = change.expm1()
    root = b.double().mul_(-0.5).clamp_(-_LIMIT, _LIMIT).exp_()
    z = (mean_p - mean_q) * root
    if total is not None:
        # e^x - 1 - x; near 0, where that is a difference of equals, x^2 (1 + x / 3) / 2.
        series = change.square().mul_(change.div(6.0).add_(0.5))
        excess = (grown - change).sub_(series).mul_(change.abs_().gt_(_SMALL)).add_(series)
        total.add_(excess.addcmul_(z, z).sum(-1), alpha=0.5)
    if weight is not None:
        if into[3] is not None:
            into[3].copy_(torch.addcmul(grown, z, z).mul_(weight).mul_(-0.5))
        if into[1] is not None:
            into[1].copy_(grown.mul_(weight).mul_(0.5))
        _store_means(into, z.mul_(root).mul_(weight))


def _by_ratio(kind: str, compute: Callable[..., None]) -> Compute:
    """From t = (a - b) / b; by the reference formula if a scale is not positive, or if the ratio is so small that 1 + t
    has lost digits.
    """

    def run(x: Sequence[Tensor], weight: Tensor | None, into: Into, total: Tensor | None) -> None:
        _, a, _, b = x
        t = a.double().sub_(b).div_(b)
        if t.amin().item() > _LEAST and b.amin().item() > 0.0:
            compute(t, x, weight, into, total)
        else:
            _by_reference(kind)(x, weight, into, total)

    return run


_COMPUTE: dict[str, Compute] = {
    "std": _by_ratio("std", _std),
    "variance": _by_ratio("variance", _variance),
    "logvar": _logvar,
}


def _store_means(into: Into, slope: Tensor) -> None:
    if into[0] is not None:
        into[0].copy_(slope)
    if into[2] is not None:
        into[2].copy_(slope.neg_())


def _by_reference(parameterization: str) -> Compute:
    kind = cast(Parameterization, parameterization)

    def terms(x: Sequence[Tensor]) -> Tensor:
        mean_p, a, mean_q, b = x
        scales = [Diagonal(v if kind == "logvar" else torch.where(v > 0, v, torch.nan), kind) for v in (a, b)]
        pair = DiagonalPair.of(mean_p, scales[0], mean_q, scales[1], torch.Size())
        return pair.covariance_terms() + pair.mean_terms()

    def compute(x: Sequence[Tensor], weight: Tensor | None, into: Into, total: Tensor | None) -> None:
        if weight is None:
            value = terms(x)
        else:
            wanted = [v is not None for v in into]
            with torch.enable_grad():
                leaves = [v.detach().requires_grad_(want) for v, want in zip(x, wanted, strict=True)]
                value = terms(leaves)
                at = [v for v in leaves if v.requires_grad]
                gradients = iter(torch.autograd.grad(value, at, weight.expand(value.shape)))
            for target in into:
                if target is not None:
                    target.copy_(next(gradients))
        if total is not None:
            total += value.detach().sum(-1)

    return compute
