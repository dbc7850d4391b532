r"""Divergences of densities between Gaussians one of which may be singular.

A singular Gaussian has a density on its support, the affine subspace :math:`\mu + \operatorname{span} W`. Two Gaussians
of one support are compared there, by coordinates along it. Otherwise neither has a density with respect to the other:
also where the support of p is a part of that of q, for it is one to which q gives the probability 0. A divergence then
has the value that mutually singular distributions have: :math:`\infty`, the Hellinger distance 1.

"Of one support" is meant but for rounding. A factor is taken for one with relative errors of 3 units of the precision
in each column, one that was computed of a covariance for one with errors of that covariance. What such errors explain
is none of the supports; what is more than 10 times as large is. Between the two nobody can tell, and an error says so.
Everything is computed in float64, in units in which each coordinate has the standard deviation 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.factor import CLEAR, Factor, Rank, rank
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.guard import active_transform, may_read_values
from kullback.numerics.linear_algebra import identity_like, lower_factor
from kullback.numerics.tensors import broadcast_shapes


def on_common_support(formula: Callable[..., Tensor], apart: float, eps: float) -> Callable[..., Tensor]:
    """The same divergence of each pair on the support that both have, and ``apart`` of pairs without one.

    NaN for a factor that is not finite. It raises NotPositiveDefinite where the supports cannot be compared: where
    values cannot be read, or their precision does not tell.

    Args:
        formula: the divergence of Gaussians with densities.
        apart: its value for mutually singular distributions.
        eps: the precision of what the Gaussians were given as.
    """

    def function(p: Gaussian, q: Gaussian, *more: Any, **named: Any) -> Tensor:
        if active_transform() or not all(may_read_values(x) for g in (p, q) for x in g.tensors()):
            raise NotPositiveDefinite(
                "the supports of singular Gaussians are compared by their values, which cannot be read here: under a "
                "transform of torch, or on the meta device. wasserstein2 does not need them."
            )
        dtype, batch = p.mean.dtype, broadcast_shapes(p.batch_shape, q.batch_shape)
        p, q = (g.cast(torch.float64, g.mean.device) for g in (p, q))
        result = p.mean.new_full((batch.numel(),), apart)
        for x in (*p.tensors(), *q.tensors()):  # all are in the graph of an infinity, with gradients of 0
            result = result + 0.0 * x.nan_to_num().sum() if x.requires_grad else result
        if any(g.scale.has_density and _is_narrow(other) for g, other in ((p, q), (q, p))):
            return result.reshape(batch).to(dtype)
        a, b = _in_units((_Rows.of(p, batch), _Rows.of(q, batch)))
        dimensions, basis = _common_support(a, b, eps, batch)
        for r in dimensions.unique().tolist():
            rows = dimensions == r
            if r > 0:
                along = basis[rows][..., :r].mT
                on_support = [g.moved(b.mean, rows, along) for g in (a, b)]
                value = formula(*on_support, *more, **named)
            else:  # two points, which are one, or two supports
                value = torch.zeros_like(result[rows]) if r == 0 else result[rows]
            result = result.index_put((rows,), value)
        unknown = ~(_finite(a.factor) & _finite(b.factor))
        return result.masked_fill(unknown, torch.nan).reshape(batch).to(dtype)

    return function


class _Rows(NamedTuple):
    """Gaussians in a row, by their means and factors, ``(n, d)`` and ``(n, d, r)``."""

    mean: Tensor
    factor: Tensor
    kind: type[Factor] | None
    """None for a scale that has a density."""

    @classmethod
    def of(cls, g: Gaussian, batch: torch.Size) -> "_Rows":
        """The Gaussians of a batch, broadcast to this shape; an event is one vector."""
        factor, d = g.scale.root(g.event_shape), g.event_size
        mean, r = g.mean.expand(*batch, *g.event_shape).reshape(-1, d), factor.shape[-1]
        kind = type(g.scale) if isinstance(g.scale, Factor) else None
        return cls(mean, factor.expand(*batch, d, r).reshape(-1, d, r), kind)

    def moved(self, origin: Tensor, rows: Tensor, along: Tensor) -> Gaussian:
        """Those in these rows in the coordinates of axes ``(n, r, d)``, from an origin."""
        mean = along @ (self.mean - origin)[rows].unsqueeze(-1)
        return Gaussian(mean.squeeze(-1), Tril(lower_factor((along @ self.factor[rows]).mT)))

    def columns(self, eps: float) -> tuple[Tensor, Tensor, Rank]:
        """Of the factors, of length 1, with the sizes of their errors and their rank."""
        factor = self.factor.detach()
        if self.kind is None:
            whole = identity_like(factor).expand_as(factor)
            none = torch.zeros_like(factor[:, 0])
            full = torch.full_like(none[:, 0], factor.shape[-1], dtype=torch.long)
            no = torch.zeros_like(full, dtype=torch.bool)
            return whole, none, Rank(full, no, no, whole, whole)
        unit, errors = self.kind.directions(factor, eps)
        return unit, errors, rank(unit, errors)


def _is_narrow(g: Gaussian) -> bool:
    """Are there fewer columns than coordinates?"""
    return isinstance(g.scale, Factor) and g.scale.factor.shape[-1] < g.event_size


def _in_units(both: tuple[_Rows, _Rows]) -> tuple[_Rows, _Rows]:
    """Both with each coordinate in units of its standard deviations, where it has any."""
    size = torch.cat([g.factor.detach() for g in both], -1).norm(dim=-1)
    size = torch.where((size > 0) & torch.isfinite(size), size, 1.0)
    a, b = (_Rows(g.mean / size, g.factor / size.unsqueeze(-1), g.kind) for g in both)
    return a, b


def _common_support(p: _Rows, q: _Rows, eps: float, batch: torch.Size) -> tuple[Tensor, Tensor]:
    """The dimension of the support of each pair, −1 if they have two, and the axes of that of p.

    Two supports are one if their dimensions are equal, the columns of one factor are combinations of those of the
    other, and so is the difference of the means, but for errors of all of them.

    Raises:
        NotPositiveDefinite: if a pair is neither of one support nor clearly of two.
    """
    (of_p, errors_p, rank_p), (of_q, errors_q, rank_q) = p.columns(eps), q.columns(eps)
    spans = torch.minimum(
        _outside(of_q, errors_q, errors_p, rank_p).amax(-1), _outside(of_p, errors_p, errors_q, rank_q).amax(-1)
    )
    delta = (p.mean - q.mean).detach().unsqueeze(-1)
    size = (p.mean.detach().norm(dim=-1) + q.mean.detach().norm(dim=-1)).unsqueeze(-1)
    outside = torch.maximum(spans, _outside(delta, 3 * eps * size, errors_p, rank_p).amax(-1))
    equal = rank_p.rank == rank_q.rank
    certain = ~(rank_p.unclear | rank_q.unclear)
    fewer = torch.where(rank_p.rank < rank_q.rank, rank_p.perhaps_more, rank_q.perhaps_more)
    one = equal & certain & (outside <= 1)
    two = (outside > CLEAR) | (~equal & certain & ~fewer)
    unclear = ~(one | two) & _finite(p.factor) & _finite(q.factor)
    if unclear.any():
        k = int(unclear.nonzero()[0])
        where = f" [{', '.join(str(int(i)) for i in torch.unravel_index(torch.tensor(k), batch))}]" if batch else ""
        raise NotPositiveDefinite(
            f"whether p and q{where} have one support cannot be told: there are {int(rank_p.rank[k])} and "
            f"{int(rank_q.rank[k])} dimensions, and what is outside of both, or the smallest of them, is of the size "
            f"of the errors of what was given to a precision of {eps:.1g}. Give factors (from_factor) of the columns "
            "that count, in float64; wasserstein2 needs no support."
        )
    return torch.where(one, rank_p.rank, -1), rank_p.basis


def _outside(columns: Tensor, errors: Tensor, others: Tensor, span: Rank) -> Tensor:
    """How far columns reach out of a span, relative to what their errors and those of the span's columns explain."""
    inside = span.basis @ (span.basis.mT @ columns)
    coefficients = span.inverse @ columns
    explained = errors + torch.linalg.vector_norm(others.unsqueeze(-1) * coefficients, dim=-2)
    left = torch.linalg.vector_norm(columns - inside, dim=-2)
    return torch.where(left > 0, left / torch.where(explained > 0, explained, 1e-300), 0.0)


def _finite(matrices: Tensor) -> Tensor:
    every: Tensor = torch.isfinite(matrices).all(-1).all(-1)
    return every
