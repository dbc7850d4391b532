"""The one place where pairs of parameterisations are told apart: the first row of the table that takes a pair, does."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.common import broadcast_shapes
from kullback.gaussian import Gaussian
from kullback.linear_algebra import cholesky, solve_lower_vector
from kullback.relative.axes import Axes
from kullback.relative.base import Relative
from kullback.relative.low_rank import Difference, LowRankPair, Rounded
from kullback.relative.triangular import Mirrored, Triangular, relative_factor
from kullback.scale.base import MatrixScale, Scale
from kullback.scale.diagonal import Diagonal
from kullback.scale.low_rank import LowRank
from kullback.scale.matrix import Dense, Precision, Tril
from kullback.scale.stack import as_low_rank, factor_of


class Row(NamedTuple):
    """A kind of pair, and what is made of it."""

    kinds: tuple[type[Scale], ...]
    relate: Callable[[Gaussian, Gaussian], Relative]
    what: str

    def takes(self, p: Gaussian, q: Gaussian) -> bool:
        """Are both of these kinds?"""
        return isinstance(p.scale, self.kinds) and isinstance(q.scale, self.kinds)


def relate(p: Gaussian, q: Gaussian) -> Relative:
    """What p is as seen from q; both of one event shape, dtype and device."""
    return chosen(p, q).relate(p, q)


def chosen(p: Gaussian, q: Gaussian) -> Row:
    """The row of the table that takes the pair."""
    return next(row for row in ROWS if row.takes(p, q))


def dense(p: Gaussian, q: Gaussian) -> Triangular:
    """A pair that is not of two diagonals, by d × d matrices and factors of the covariances."""
    pair = relate(p, q)
    if isinstance(pair, Rounded):
        return pair.pair.dense()
    pair = pair.means if isinstance(pair, Mirrored) else pair
    assert isinstance(pair, Triangular)
    return pair


def axes(p: Gaussian, q: Gaussian) -> Axes:
    """A pair of diagonals."""
    assert isinstance(p.scale, Diagonal)
    assert isinstance(q.scale, Diagonal)
    return Axes.of(p.mean, p.scale, q.mean, q.scale, p.event_shape)


def _low_rank(p: Gaussian, q: Gaussian) -> Relative:
    dtype = p.mean.dtype
    p, q = (g.cast(torch.float64, g.mean.device) for g in (p, q))
    scales = (as_low_rank(g.scale, g.event_shape) for g in (p, q))
    return Rounded(LowRankPair.of(p.mean, next(scales), q.mean, next(scales)), dtype)


def _by_precisions(p: Gaussian, q: Gaussian) -> Relative:
    precision_p, precision_q = _precision(p.scale, p.event_shape), _precision(q.scale, q.event_shape)
    mirrored = relative_factor(cholesky(precision_q), cholesky(precision_p), precision_q - precision_p)
    means = _by_factors(p, q)
    return Mirrored(Triangular(mirrored, means.whitened), means)


def _by_factors(p: Gaussian, q: Gaussian) -> Triangular:
    factor_q = factor_of(q.scale, q.event_shape)
    factor = relative_factor(factor_of(p.scale, p.event_shape), factor_q, None)
    return Triangular(factor, _whitened(p, q, factor_q))


def _by_covariances(p: Gaussian, q: Gaussian) -> Relative:
    factor_q = factor_of(q.scale, q.event_shape)
    difference = covariance_difference(p.detach().scale, q.detach().scale, p.event_shape)
    factor = relative_factor(factor_of(p.scale, p.event_shape), factor_q, difference)
    return Triangular(factor, _whitened(p, q, factor_q))


ROWS = (
    Row((Diagonal,), axes, "per axis, from the ratio of the scales"),
    Row((Diagonal, LowRank), _low_rank, "low rank: no matrix larger than the factors"),
    Row((Diagonal, Precision), _by_precisions, "relative Cholesky factor of the precisions"),
    Row((Diagonal, Tril), _by_factors, "relative Cholesky factor, from the factors given"),
    Row((Scale,), _by_covariances, "relative Cholesky factor, corrected by the difference of the covariances"),
)


def covariance_difference(p: Scale, q: Scale, event: torch.Size) -> Tensor:
    """Σp − Σq, d × d, with what is given subtracted first."""
    both = (p, q)
    if all(isinstance(scale, Diagonal | Tril) for scale in both):
        factor_p, factor_q = factor_of(p, event), factor_of(q, event)
        change = factor_p - factor_q
        return change @ factor_p.mT + factor_q @ change.mT
    if all(isinstance(scale, Diagonal | LowRank) for scale in both):
        low_p, low_q = as_low_rank(p, event), as_low_rank(q, event)
        rank = max(low_p.rank, low_q.rank)
        return Difference.of(low_p.padded(rank), low_q.padded(rank)).matrix()
    if all(isinstance(scale, Diagonal | Precision) for scale in both):
        factor_p, factor_q = factor_of(p, event), factor_of(q, event)
        change = _precision(q, event) - _precision(p, event)
        return factor_p @ (factor_p.mT @ change @ factor_q) @ factor_q.mT
    return _covariance(p, event) - _covariance(q, event)


def _precision(scale: Scale, event: torch.Size) -> Tensor:
    return scale.precision() if isinstance(scale, Precision) else scale.stds(event).pow(-2).diag_embed()


def _covariance(scale: Scale, event: torch.Size) -> Tensor:
    if isinstance(scale, MatrixScale):
        return scale.covariance()
    assert isinstance(scale, Diagonal)
    variance = scale.to("variance").tensor
    return variance.broadcast_to(broadcast_shapes(variance.shape, event)).diag_embed()


def _whitened(p: Gaussian, q: Gaussian, factor_q: Tensor) -> Tensor:
    delta = p.mean - q.mean
    if not delta.ndim:  # both means are numbers
        delta = delta.expand(p.event_shape)
    if isinstance(q.scale, Diagonal):
        return delta / q.scale.stds(q.event_shape)
    return q.scale.whiten(delta) if isinstance(q.scale, Precision) else solve_lower_vector(factor_q, delta)


def marginals(p: Gaussian) -> Gaussian:
    """The product of the marginals: the same means and standard deviations, without correlations."""
    if isinstance(p.scale, Diagonal):
        return p
    if isinstance(p.scale, Dense):
        return replace(p, scale=Diagonal(p.scale.matrix.diagonal(dim1=-2, dim2=-1), "variance"))
    return replace(p, scale=Diagonal(p.scale.stds(p.event_shape), "std"))
