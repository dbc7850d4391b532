r"""The Kullback–Leibler divergence as an inner product, so that one matrix product gives it for all pairs.

For diagonal covariances it is

.. math:: D(p_i \,\|\, q_j) = c_i + \Big\langle (v_i + \mu_i^2,\; \mu_i,\; 1),\;
    \big(\tfrac{1}{2 v_j},\; -\tfrac{\mu_j}{v_j},\; \tfrac12 \textstyle\sum [\mu_j^2 / v_j + \log v_j] \big)
    \Big\rangle ,

For full covariances the first blocks of the two vectors are the matrices :math:`\Sigma_i + \mu_i \mu_i^\top` and
:math:`\tfrac12 \Lambda_j`, :math:`\Lambda_j = \Sigma_j^{-1}`. The expanded form cancels: for nearby Gaussians it can
even be negative. Therefore the sum of the absolute values of the terms is bounded, and an entry that is small compared
with this bound is computed again by the exact formula.

For diagonal covariances the absolute values sum to at most :math:`5 D + A_i + B_j`, with
:math:`A_i = \tfrac d2 + \sum \max(\log v_i, 0)` and
:math:`B_j = \tfrac d2 + \sum \max(-\log v_j, 0) + 3 \sum \mu_j^2 / v_j`. For full covariances the product of the
matrix norms bounds the first block; it is multiplied by the condition number of :math:`\Sigma_j`, which bounds the
rounding error of the inverse.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import identity_like, solve_lower
from kullback.numerics.memory import empty
from kullback.pairs.base import have_densities

# The smallest ratio, per term, of a divergence to the sum of its absolute terms at which the matrix product, which is
# formed in float64, is accurate enough for a result of this dtype.
_SMALLEST_RATIO = {torch.float32: 1.5e-9, torch.float64: 6.8e-6}

# Products of smaller numbers of float32 and the rounding errors of those that it holds without all digits are tiny.
_LARGEST = 2.0**63

# Elements of the parameters that are expanded at once: they stay in the cache.
_CHUNK_ELEMENTS = 2**17

# The largest number of coordinates for which full covariances are expanded; longer vectors save no time.
_MOST_COORDINATES = 64


@dataclass(frozen=True, eq=False)
class ExpandedKL:
    """The vectors of the inner products for two batches, and bounds of the absolute terms, all of one dtype.

    ``D(p_i, q_j) = constant_i + <left_i, right_j>``, whose terms have absolute values that sum to at most
    ``5 D + size_p_i + size_q_j + norm_p_i * norm_q_j``.
    """

    constant: Tensor  # (n,)
    left: Tensor  # (n, terms)
    right: Tensor  # (m, terms)
    size_p: Tensor  # (n,)
    size_q: Tensor  # (m,)
    norm_p: Tensor | None = None  # (n,), None for diagonal covariances
    norm_q: Tensor | None = None  # (m,)

    pairs_at_once: ClassVar[int] = 2**18

    def detach(self) -> "ExpandedKL":
        """The same vectors, without gradients."""
        parts: dict[str, Any] = {name: x if x is None else x.detach() for name, x in vars(self).items()}
        return ExpandedKL(**parts)

    def of_rows(self, rows: slice) -> "ExpandedKL":
        """The vectors and bounds of these rows of p, and of all of q."""
        norm_p = None if self.norm_p is None else self.norm_p[rows]
        return replace(
            self, constant=self.constant[rows], left=self.left[rows], size_p=self.size_p[rows], norm_p=norm_p
        )

    def values(self, rows: slice) -> Tensor:
        """The divergences of these rows of p from all of q, with the rounding error of the product."""
        return torch.addmm(self.constant[rows, None], self.left[rows], self.right.mT)

    def screened(self, rows: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor | None]:
        """The same, and which of them are too inaccurate for a result of this dtype; None if none is."""
        values = self.values(rows)
        return values, self._uncertain(values, rows, dtype)

    def _uncertain(self, values: Tensor, rows: slice, dtype: torch.dtype) -> Tensor | None:
        """Which of these values are NaN, or too inaccurate for a result of this dtype; None if none is."""
        ratio = _SMALLEST_RATIO[dtype] * self.left.shape[1]
        # value > ratio * (5 value + sizes), solved for the value.
        factor = ratio / max(1.0 - 5.0 * ratio, ratio)
        largest = factor * (self.size_p[rows].amax() + self.size_q.amax())
        if self.norm_p is None and bool(values.amin() > largest):
            return None
        threshold = factor * self.size_p[rows, None] + factor * self.size_q
        if self.norm_p is not None and self.norm_q is not None:
            threshold.addr_(self.norm_p[rows], self.norm_q, alpha=factor)
        return ~(values > threshold)


def expanded(p: Gaussian, q: Gaussian, dtype: torch.dtype) -> ExpandedKL | None:
    """The inner-product form of a pair; None if it has none, or if its values cannot be inspected.

    The vectors are computed in float64. Those of diagonal covariances are then rounded to ``dtype``; those of full
    covariances, which cancel more, stay in float64.
    """
    if not all(is_concrete(x) for g in (p, q) for x in g.tensors()):
        return None
    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        return expanded_diagonals(p, q, dtype)
    if not have_densities(p, q):
        return None
    if isinstance(p.scale, MatrixScale) and isinstance(q.scale, MatrixScale) and p.event_size <= _MOST_COORDINATES:
        return expanded_matrices(p, q)
    return None


def expanded_diagonals(p: Gaussian, q: Gaussian, dtype: torch.dtype) -> ExpandedKL:
    """The vectors of diagonal covariances, for means relative to the mean of q's means.

    In float32 the unit of each coordinate is the geometric mean of q's standard deviations, so that the range of
    numbers suffices and logarithms are small. The shift of the logarithms costs digits that only float64 has use for.
    """
    origin = _Origin(_centre(q), _log_unit(q) if dtype == torch.float32 else None)
    constant, left, size_p = _in_chunks(lambda chunk: _left(chunk, origin), p, p.event_size, dtype)
    right, size_q = _in_chunks(lambda chunk: _right(chunk, origin), q, q.event_size, dtype)
    if dtype == torch.float32:
        # What is beyond the range of numbers has no score.
        size_p = size_p.where(left.abs().amax(-1) < _LARGEST, torch.inf)
        size_q = size_q.where(right.abs().amax(-1) < _LARGEST, torch.inf)
    return ExpandedKL(constant, left, right, size_p, size_q)


def expanded_matrices(p: Gaussian, q: Gaussian) -> ExpandedKL:
    """The vectors of full covariances, of which the upper triangles are enough, in float64."""
    centre, size = _centre(q), p.event_size**2
    constant, left, size_p, norm_p = _in_chunks(lambda chunk: _left_full(chunk, centre), p, size, torch.float64)
    right, size_q, norm_q = _in_chunks(lambda chunk: _right_full(chunk, centre), q, size, torch.float64)
    return ExpandedKL(constant, left, right, size_p, size_q, norm_p, norm_q)


class _Origin(NamedTuple):
    """What means are relative to; and twice the logarithm of each coordinate's unit, if it is not 1."""

    centre: Tensor
    log_unit: Tensor | None


def _log_unit(q: Gaussian) -> Tensor:
    """The mean of the log-variances of some thousand of q, for each coordinate."""
    (_, log) = q[:: max(1, len(q) // 4096)].cast(torch.float64, q.device).flat_parameters("logvar")
    return log.detach().mean(0)


def _centre(q: Gaussian) -> Tensor:
    return q.mean.detach().mean(0, dtype=torch.float64).flatten()


def _in_chunks(
    expand: Callable[[Gaussian], tuple[Tensor, ...]], g: Gaussian, size: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """The results of ``expand`` for a batch, computed in chunks that fit the cache and rounded to ``dtype``.

    ``size`` is the number of parameters of one Gaussian.
    """
    step = max(1, _CHUNK_ELEMENTS // max(size, 1))
    chunks = (expand(g[i : i + step]) for i in range(0, max(len(g), 1), step))
    if any_requires_grad(*g.tensors()):
        return tuple(torch.cat(x).to(dtype) for x in zip(*chunks, strict=True))
    results: list[Tensor] = []
    for k, chunk in enumerate(chunks):
        results = results or [empty((len(g), *x.shape[1:]), dtype, x.device) for x in chunk]
        for result, x in zip(results, chunk, strict=True):
            result[k * step : k * step + len(x)] = x
    return tuple(results)


def _left(p: Gaussian, origin: _Origin) -> tuple[Tensor, Tensor, Tensor]:
    mean, log, variance = _centred_parameters(p, origin)
    features = torch.cat([variance + mean.square(), mean, torch.ones_like(mean[:, :1])], -1)
    return -0.5 * (1.0 + log).sum(-1), features, 0.5 * mean.shape[-1] + log.detach().clamp(min=0.0).sum(-1)


def _right(q: Gaussian, origin: _Origin) -> tuple[Tensor, Tensor]:
    mean, log, variance = _centred_parameters(q, origin)
    precision = 1.0 / variance
    slope = mean * precision
    square = mean * slope
    features = torch.cat([0.5 * precision, -slope, 0.5 * (square + log).sum(-1, keepdim=True)], -1)
    size = 0.5 * mean.shape[-1] + (-log.detach()).clamp(min=0.0).sum(-1) + 3.0 * square.detach().sum(-1)
    return features, size


def _centred_parameters(g: Gaussian, origin: _Origin) -> tuple[Tensor, Tensor, Tensor]:
    """The means relative to the centre, the log-variances and the variances, each ``(n, d)`` in float64, in the units
    of the origin.
    """
    g = g.cast(torch.float64, g.device)
    mean, log, variance = g.flat_parameters("logvar", "variance")
    mean = mean - origin.centre
    if origin.log_unit is None:
        return mean, log, variance
    return mean * (-0.5 * origin.log_unit).exp(), log - origin.log_unit, variance * (-origin.log_unit).exp()


def _left_full(p: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, factor, covariance = _centred_matrices(p, centre)
    half_log = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    second = covariance + mean.unsqueeze(-1) * mean.unsqueeze(-2)
    features = torch.cat([_upper_triangle(second, 2.0), mean, torch.ones_like(mean[:, :1])], -1)
    constant = -(0.5 * mean.shape[-1] + half_log)
    return constant, features, constant.detach().abs(), torch.linalg.matrix_norm(second.detach())


def _right_full(q: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, factor, covariance = _centred_matrices(q, centre)
    half_log = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    inverse = solve_lower(factor, identity_like(factor).expand_as(factor))
    precision = inverse.mT @ inverse
    slope = (precision @ mean.unsqueeze(-1)).squeeze(-1)
    square = (mean * slope).sum(-1)
    features = torch.cat([_upper_triangle(0.5 * precision, 1.0), -slope, (0.5 * square + half_log)[:, None]], -1)
    norm = torch.linalg.matrix_norm(precision.detach())
    condition = norm * torch.linalg.matrix_norm(covariance.detach())
    # The norm of S_i + mu_i mu_i' bounds |mu_i|^2, so that the terms of the linear block need no bound of their own.
    norm = norm * (1.0 + condition / mean.shape[-1])
    return features, half_log.detach().abs() + norm * mean.detach().square().sum(-1), norm


def _centred_matrices(g: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The means relative to the centre, the Cholesky factors and the covariances, in float64."""
    g = g.cast(torch.float64, g.device)
    assert isinstance(g.scale, MatrixScale)
    d = g.event_size
    mean = g.mean.expand(*g.batch_shape, d) - centre
    return mean, g.scale.tril().expand(*g.batch_shape, d, d), g.scale.covariance().expand(*g.batch_shape, d, d)


def _upper_triangle(x: Tensor, factor: float) -> Tensor:
    """The entries of the upper triangles as vectors, those off the diagonal multiplied by ``factor``."""
    row, column = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    return x[:, row, column] * torch.where(row == column, 1.0, factor).to(x.dtype)
