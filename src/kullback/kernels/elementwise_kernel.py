"""Pairs of float32 diagonals by some thirty operations of torch, on any device that has float64.

Closed forms of the divergence and of its gradients, without branches: in float64 nothing of a float32 pair leaves the
range, and ``t - log(1 + t)`` and ``e^x - 1 - x`` keep enough digits, but for the smallest x. Torch has no dtype wider
than float64, so float64 pairs are left to the reference formula.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import threshold

from kullback.kernels.layout import Layout, gradient_buffers
from kullback.kernels.protocol import Inputs, Tensors, Work
from kullback.numerics.tensors import constant

# Rows of so many elements together stay in the cache of a CPU; other devices take all rows at once.
_TILE = 2**14

# The square of the x below which e^x - 1 - x is x^2 / 2 to float32, and its difference in float64 is not.
_NEAR = 1e-14

# For a log-variance of this size the mean term is 0 or overflows float32, and its exponential is a number.
_LIMIT = 700.0


class ElementwiseKernel:
    """Pairs of float32 diagonals."""

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why this cannot do it; None if it can."""
        x = inputs.tensors[0]
        if work == "kl" and inputs.parameterization in _KINDS and x.dtype == torch.float32 and x.device.type != "mps":
            return None
        return "divergences of pairs of float32 diagonals, where there is float64 too"

    def in_one_pass(self, layout: Layout) -> bool:
        """They are not: they share little."""
        return False

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""
        kind = _KINDS[layout.parameterization]
        result = torch.empty(layout.n_rows, dtype=torch.float32, device=tensors[0].device)
        for rows in _tiles(layout, tensors[0]):
            torch.sum(kind.terms(*_rows(tensors, layout, rows)), -1, dtype=torch.float32, out=result[rows])
        return (result if kind.factor == 1.0 else result.mul_(kind.factor)).reshape(layout.batch)

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor."""
        slopes, zero = _KINDS[layout.parameterization].slopes, constant(0.0, tensors[0])
        weights = weight.expand(layout.batch).reshape(layout.n_rows, 1)
        gradients = gradient_buffers(tensors, layout, wanted)
        for rows in _tiles(layout, tensors[0]):
            products = slopes(*_rows(tensors, layout, rows), weights[rows])
            for gradient, (factor, left, right) in zip(gradients, products, strict=True):
                if gradient is not None:
                    into = gradient.view(layout.n_rows, layout.n)[rows]
                    torch.addcmul(zero, left, right, value=factor, out=into)
        return gradients

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """One after the other."""
        return self.value(tensors, layout), self.gradients(tensors, layout, weight, wanted)


def _tiles(layout: Layout, x: Tensor) -> Iterator[slice]:
    height = max(1, _TILE // layout.n) if x.is_cpu else layout.n_rows
    for first in range(0, layout.n_rows, height):
        yield slice(first, first + height)


def _rows(tensors: Sequence[Tensor], layout: Layout, rows: slice) -> Tensors:
    shape = layout.n_rows, layout.n
    steps = zip(layout.row_stride, layout.column_stride, strict=True)
    a, b, c, d = (x.detach().as_strided(shape, step)[rows] for x, step in zip(tensors, steps, strict=True))
    return a, b, c, d


# The derivatives with respect to the mean and the scale of p and of q, each as a number and two factors.
_Slope = tuple[float, Tensor, Tensor]
_Slopes = tuple[_Slope, _Slope, _Slope, _Slope]


class _Kind(NamedTuple):
    """What is computed of the mean and the scale of p and of q."""

    terms: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    """The terms of each coordinate."""
    factor: float
    """What their sum is multiplied by to be the divergence."""
    slopes: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], _Slopes]
    """The derivatives, times the weights, which come last."""


def _difference(x: Tensor, y: Tensor) -> Tensor:
    return x.double().sub_(y)


def _log_ratio(change: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The logarithm of a / b from a - b: that of the larger number over the smaller, or minus it."""
    least = threshold(torch.minimum(a, b), 0.0, torch.nan)
    return change.div(least).abs_().log1p_().copysign_(change)


def _std_terms(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor) -> Tensor:
    change, z = _difference(a, b), _difference(mean_p, mean_q).div_(b)
    t = change / b
    return torch.addcmul(t, t, t, value=0.5).sub_(_log_ratio(change, a, b)).addcmul_(z, z, value=0.5)


def _std_slopes(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor, w: Tensor) -> _Slopes:
    a, b = threshold(a, 0.0, torch.nan), threshold(b, 0.0, torch.nan)
    t, z = _difference(a, b).div_(b), _difference(mean_p, mean_q).div_(b)
    change, over = (t + 2.0).mul_(t), w / b  # the first is r^2 - 1
    return (1.0, z, over), (1.0, change, w / a), (-1.0, z, over), (-1.0, torch.addcmul(change, z, z), over)


def _variance_terms(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor) -> Tensor:
    change, delta = _difference(a, b), _difference(mean_p, mean_q)
    return (change / b).sub_(_log_ratio(change, a, b)).addcmul_(delta, delta / b)


def _variance_slopes(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor, w: Tensor) -> _Slopes:
    a, b = threshold(a, 0.0, torch.nan), threshold(b, 0.0, torch.nan)
    t, delta = _difference(a, b).div_(b), _difference(mean_p, mean_q)
    z = delta / b
    return (1.0, z, w), (0.5, t, w / a), (-1.0, z, w), (-0.5, torch.addcmul(t, delta, z), w / b)


def _logvar_terms(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor) -> Tensor:
    x, delta = _difference(a, b), _difference(mean_p, mean_q)
    square, excess = x * x, x.expm1().sub_(x)
    phi = torch.where(square < _NEAR, square * 0.5, excess)
    return phi.addcmul_(delta, delta / _variances(b))


def _logvar_slopes(mean_p: Tensor, a: Tensor, mean_q: Tensor, b: Tensor, w: Tensor) -> _Slopes:
    grown, delta = _difference(a, b).expm1_(), _difference(mean_p, mean_q)
    z = delta / _variances(b)
    return (1.0, z, w), (0.5, grown, w), (-1.0, z, w), (-0.5, torch.addcmul(grown, delta, z), w)


def _variances(logvar: Tensor) -> Tensor:
    return logvar.double().clamp_(-_LIMIT, _LIMIT).exp_()


_KINDS = {
    "std": _Kind(_std_terms, 1.0, _std_slopes),
    "variance": _Kind(_variance_terms, 0.5, _variance_slopes),
    "logvar": _Kind(_logvar_terms, 0.5, _logvar_slopes),
}
