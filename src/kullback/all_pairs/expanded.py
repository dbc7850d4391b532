r"""Divergences as inner products: one matrix product gives those of all pairs.

For diagonals the Kullback–Leibler divergence is

.. math:: D(p_i \,\|\, q_j) = c_i + \Big\langle (v_i + \mu_i^2,\; \mu_i,\; 1),\;
    \big(\tfrac{1}{2 v_j},\; -\tfrac{\mu_j}{v_j},\; \tfrac12 \textstyle\sum [\mu_j^2 / v_j + \log v_j] \big)
    \Big\rangle ,

and what is nearest has the largest product. For full covariances the first parts are the matrices
:math:`\Sigma_i + \mu_i \mu_i^\top` and :math:`\tfrac12 \Lambda_j`. Expanded like this it cancels: near Gaussians
come out negative. So the sizes of the terms are bounded, and every entry that is small against them is computed again,
exactly.

For diagonals they sum to at most :math:`5 D + A_i + B_j`, with :math:`A_i = \tfrac d2 + \sum \max(\log v_i, 0)` and
:math:`B_j = \tfrac d2 + \sum \max(-\log v_j, 0) + 3 \sum \mu_j^2 / v_j`. For matrices the product of their norms is
a bound, the larger by the condition of :math:`\Sigma_j`, with which its inverse was rounded.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import identity_like, solve_lower
from kullback.numerics.memory import empty

# What is small against its terms, for each of which there is one rounding. The product is formed in float64: for
# float32 inputs it has digits to spare.
_SMALL = {torch.float32: 1.5e-9, torch.float64: 6.8e-6}

# How many numbers are prepared at once.
_PART = 2**17

# Beyond so many coordinates the vectors of full Gaussians are too long to gain by.
_LARGEST = 64


@dataclass(frozen=True, eq=False)
class ExpandedKL:
    """The inner products of a pair of batches, and the sizes of their terms, in one dtype."""

    constant: Tensor  # (n,)
    left: Tensor  # (n, terms)
    right: Tensor  # (m, terms)
    size_p: Tensor  # (n,)
    size_q: Tensor  # (m,)
    norm_p: Tensor | None = None  # (n,): with norm_q, a product that is added to the sizes
    norm_q: Tensor | None = None  # (m,)

    def detach(self) -> "ExpandedKL":
        """The same, cut off from the graph of gradients."""
        parts: dict[str, Any] = {name: x if x is None else x.detach() for name, x in vars(self).items()}
        return ExpandedKL(**parts)

    def values(self, rows: slice) -> Tensor:
        """The divergences of some rows, as they come out."""
        return torch.addmm(self.constant[rows, None], self.left[rows], self.right.mT)

    def certain(self, values: Tensor, rows: slice, dtype: torch.dtype) -> Tensor:
        """Which of them are numbers, and not small against their terms, for results of a dtype; one if all are."""
        small = _SMALL[dtype] * self.left.shape[1]
        factor = small / max(1.0 - 5.0 * small, small)
        least = factor * (self.size_p[rows].amax() + self.size_q.amax())
        if self.norm_p is None and bool(values.amin() > least):
            return torch.ones((), dtype=torch.bool, device=values.device)
        sizes = factor * self.size_p[rows, None] + factor * self.size_q
        if self.norm_p is not None and self.norm_q is not None:
            sizes.addr_(self.norm_p[rows], self.norm_q, alpha=factor)
        return values > sizes


def expanded(p: Gaussian, q: Gaussian, dtype: torch.dtype) -> ExpandedKL | None:
    """Of a pair that has this form, and whose values may be looked at: of diagonals rounded to ``dtype`` last."""
    if not all(is_concrete(x) for g in (p, q) for x in g.tensors()):
        return None
    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        return expanded_diagonals(p, q, dtype)
    if isinstance(p.scale, MatrixScale) and isinstance(q.scale, MatrixScale) and p.event_size <= _LARGEST:
        return expanded_matrices(p, q)
    return None


def expanded_diagonals(p: Gaussian, q: Gaussian, dtype: torch.dtype) -> ExpandedKL:
    """Means are moved to the centre of q's first, in float64."""
    centre = _centre(q)
    constant, queries, size_p = _in_parts(lambda part: _left(part, centre), p, p.event_size, dtype)
    vectors, size_q = _in_parts(lambda part: _right(part, centre), q, q.event_size, dtype)
    return ExpandedKL(constant, queries, vectors, size_p, size_q)


def expanded_matrices(p: Gaussian, q: Gaussian) -> ExpandedKL:
    """The same for full covariances, by their upper triangles, in float64: their terms cancel more."""
    centre, size = _centre(q), p.event_size**2
    constant, queries, size_p, norm_p = _in_parts(lambda part: _left_matrix(part, centre), p, size, torch.float64)
    vectors, size_q, norm_q = _in_parts(lambda part: _right_matrix(part, centre), q, size, torch.float64)
    return ExpandedKL(constant, queries, vectors, size_p, size_q, norm_p, norm_q)


def _centre(q: Gaussian) -> Tensor:
    return q.mean.detach().mean(0, dtype=torch.float64).flatten()


def _in_parts(
    prepare: Callable[[Gaussian], tuple[Tensor, ...]], g: Gaussian, size: int, dtype: torch.dtype
) -> tuple[Tensor, ...]:
    """What is prepared of a batch, in parts that a cache holds; ``size`` numbers for each Gaussian."""
    step = max(1, _PART // max(size, 1))
    parts = (prepare(g[i : i + step]) for i in range(0, max(len(g), 1), step))
    if any_requires_grad(*g.tensors()):
        return tuple(torch.cat(x).to(dtype) for x in zip(*parts, strict=True))
    found: list[Tensor] = []
    for k, part in enumerate(parts):
        found = found or [empty((len(g), *x.shape[1:]), dtype, x.device) for x in part]
        for whole, x in zip(found, part, strict=True):
            whole[k * step : k * step + len(x)] = x
    return tuple(found)


def _left(p: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, log, variance = _centred_parameters(p, centre)
    features = torch.cat([variance + mean.square(), mean, torch.ones_like(mean[:, :1])], -1)
    return -0.5 * (1.0 + log).sum(-1), features, 0.5 * mean.shape[-1] + log.detach().clamp(min=0.0).sum(-1)


def _right(q: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor]:
    mean, log, variance = _centred_parameters(q, centre)
    precision = 1.0 / variance
    slope = mean * precision
    square = mean * slope
    features = torch.cat([0.5 * precision, -slope, 0.5 * (square + log).sum(-1, keepdim=True)], -1)
    size = 0.5 * mean.shape[-1] + (-log.detach()).clamp(min=0.0).sum(-1) + 3.0 * square.detach().sum(-1)
    return features, size


def _centred_parameters(g: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means from the centre, log-variances and variances in float64, ``(n, d)``."""
    g = g.cast(torch.float64, g.device)
    mean, log, variance = g.flat_parameters("logvar", "variance")
    return mean - centre, log, variance


def _left_matrix(p: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, factor, covariance = _matrices(p, centre)
    half_log = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    second = covariance + mean.unsqueeze(-1) * mean.unsqueeze(-2)
    features = torch.cat([_triangle(second, 2.0), mean, torch.ones_like(mean[:, :1])], -1)
    constant = -(0.5 * mean.shape[-1] + half_log)
    return constant, features, constant.detach().abs(), torch.linalg.matrix_norm(second.detach())


def _right_matrix(q: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, factor, covariance = _matrices(q, centre)
    half_log = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    inverse = solve_lower(factor, identity_like(factor).expand_as(factor))
    precision = inverse.mT @ inverse
    slope = (precision @ mean.unsqueeze(-1)).squeeze(-1)
    square = (mean * slope).sum(-1)
    features = torch.cat([_triangle(0.5 * precision, 1.0), -slope, (0.5 * square + half_log)[:, None]], -1)
    norm = torch.linalg.matrix_norm(precision.detach())
    condition = norm * torch.linalg.matrix_norm(covariance.detach())
    # The norm of S_i bounds the square of its mean, so that the terms of the slope are below those of the others.
    norm = norm * (1.0 + condition / mean.shape[-1])
    return features, half_log.detach().abs() + norm * mean.detach().square().sum(-1), norm


def _matrices(g: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means from the centre, factors and covariances in float64."""
    g = g.cast(torch.float64, g.device)
    assert isinstance(g.scale, MatrixScale)
    d = g.event_size
    mean = g.mean.expand(*g.batch_shape, d) - centre
    return mean, g.scale.tril().expand(*g.batch_shape, d, d), g.scale.covariance().expand(*g.batch_shape, d, d)


def _triangle(x: Tensor, factor: float) -> Tensor:
    """The upper triangle in a row, what is off the diagonal times a factor."""
    row, column = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    return x[:, row, column] * torch.where(row == column, 1.0, factor).to(x.dtype)
