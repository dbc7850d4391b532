r"""Divergences of densities between Gaussians one of which may be singular.

A singular Gaussian has a density on its support, the affine subspace :math:`\mu + \operatorname{span} W`. Two Gaussians
of one support are compared there, by coordinates along it. Otherwise neither has a density with respect to the other:
also where the support of p is a part of that of q, for it is one to which q gives the probability 0. A divergence then
has the value that mutually singular distributions have: :math:`\infty`, the Hellinger distance 1.

"Of one support" is meant but for rounding: 10 max(d, r) units of the precision of the dtype for r columns in d
coordinates. Everything is computed in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.factor import RANK_TOLERANCE, rank
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.guard import active_transform, may_read_values
from kullback.numerics.linear_algebra import finite_or_zero, lower_factor
from kullback.numerics.tensors import broadcast_shapes


def on_common_support(formula: Callable[..., Tensor], apart: float) -> Callable[..., Tensor]:
    """The same divergence of each pair on the support that both have, and ``apart`` of pairs without one.

    NaN for a factor that is not finite. It raises NotPositiveDefinite where values cannot be read.
    """

    def function(p: Gaussian, q: Gaussian, *more: Any, **named: Any) -> Tensor:
        if active_transform() or not all(may_read_values(x) for g in (p, q) for x in g.tensors()):
            raise NotPositiveDefinite(
                "the supports of singular Gaussians are compared by their values, which cannot be read here: under a "
                "transform of torch, or on the meta device. wasserstein2 does not need them."
            )
        dtype, batch = p.mean.dtype, broadcast_shapes(p.batch_shape, q.batch_shape)
        a, b = (_Rows.of(g.cast(torch.float64, g.mean.device), batch) for g in (p, q))
        dimensions, basis = _common_support(a, b, torch.finfo(dtype).eps)
        unknown = ~(_finite(a.factor) & _finite(b.factor))
        result = a.mean.new_full(unknown.shape, apart).masked_fill(unknown, torch.nan)
        for r in dimensions[~unknown].unique().tolist():
            rows = (dimensions == r) & ~unknown
            if r > 0:
                along = basis[rows][..., :r].mT
                on_support = [g.moved(b.mean, rows, along) for g in (a, b)]
                result = result.index_put((rows,), formula(*on_support, *more, **named))
            elif r == 0:  # two points, which are one
                result[rows] = 0.0
        return result.reshape(batch).to(dtype)

    return function


class _Rows(NamedTuple):
    """Gaussians in a row, by their means and factors, ``(n, d)`` and ``(n, d, r)``."""

    mean: Tensor
    factor: Tensor

    @classmethod
    def of(cls, g: Gaussian, batch: torch.Size) -> "_Rows":
        """The Gaussians of a batch, broadcast to this shape; an event is one vector."""
        factor, d = g.scale.root(g.event_shape), g.event_size
        mean, r = g.mean.expand(*batch, *g.event_shape).reshape(-1, d), factor.shape[-1]
        return cls(mean, factor.expand(*batch, d, r).reshape(-1, d, r))

    def moved(self, origin: Tensor, rows: Tensor, along: Tensor) -> Gaussian:
        """Those in these rows in the coordinates of axes ``(n, r, d)``, from an origin."""
        mean = along @ (self.mean - origin)[rows].unsqueeze(-1)
        return Gaussian(mean.squeeze(-1), Tril(lower_factor((along @ self.factor[rows]).mT)))


def _common_support(p: _Rows, q: _Rows, eps: float) -> tuple[Tensor, Tensor]:
    """The dimension of the support of each pair, −1 if they have two, and the axes of that of p.

    Two supports are one if their dimensions are equal, and nothing of the factor of q or of the difference of the means
    leaves the support of p but for rounding.
    """
    delta, (factor_p, factor_q) = (p.mean - q.mean).detach(), (finite_or_zero(g.factor.detach()) for g in (p, q))
    basis, values, _ = torch.linalg.svd(factor_p, full_matrices=False)
    dimensions = rank(values, factor_p, eps)
    of_q = rank(torch.linalg.svdvals(factor_q), factor_q, eps)
    axes = torch.where(torch.arange(values.shape[-1], device=values.device) < dimensions[:, None, None], basis, 0.0)
    tolerance = RANK_TOLERANCE * max(*factor_p.shape[1:], *factor_q.shape[1:]) * eps

    def leaves(x: Tensor, size: Tensor) -> Tensor:
        outside: Tensor = torch.linalg.matrix_norm(x - axes @ (axes.mT @ x)) > tolerance * size
        return outside

    spread = torch.linalg.matrix_norm(factor_q)
    means = torch.linalg.vector_norm(p.mean, dim=-1) + torch.linalg.vector_norm(q.mean, dim=-1)
    differ = (dimensions != of_q) | leaves(factor_q, spread) | leaves(delta.unsqueeze(-1), means.detach() + spread)
    return torch.where(differ, -1, dimensions), basis


def _finite(matrices: Tensor) -> Tensor:
    every: Tensor = torch.isfinite(matrices).all(-1).all(-1)
    return every
