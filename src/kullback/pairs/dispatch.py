"""Which form a pair is computed in: by the first rule of the table that takes its parameterizations."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.gaussians.scales.low_rank import LowRank
from kullback.gaussians.scales.matrix import Dense, Precision, Tril
from kullback.gaussians.scales.stack import as_low_rank
from kullback.numerics.linear_algebra import cholesky, solve_lower_vector
from kullback.pairs.base import Float64Pair, GaussianPair
from kullback.pairs.diagonal import DiagonalPair
from kullback.pairs.full import FullPair, PrecisionPair, relative_factor
from kullback.pairs.low_rank import LowRankPair
from kullback.pairs.low_rank_covariance import Difference


class PairRule(NamedTuple):
    """The parameterizations that a form takes, what makes the pair, and how the form is described."""

    kinds: tuple[type[Scale], ...]
    make: Callable[[Gaussian, Gaussian], GaussianPair]
    description: str

    def takes(self, p: type[Scale], q: type[Scale]) -> bool:
        """Are both of these kinds?"""
        return issubclass(p, self.kinds) and issubclass(q, self.kinds)


def make_pair(p: Gaussian, q: Gaussian) -> GaussianPair:
    """P as it is seen from q; both of one event shape, dtype and device."""
    return select_rule(p, q).make(p, q)


def select_rule(p: Gaussian, q: Gaussian) -> PairRule:
    """The first rule that takes the pair."""
    kinds = type(p.scale), type(q.scale)
    rule = _RULE_OF.get(kinds)
    if rule is None:
        rule = _RULE_OF[kinds] = next(rule for rule in RULES if rule.takes(*kinds))
    return rule


# Of pairs of types that have been met.
_RULE_OF: dict[tuple[type[Scale], type[Scale]], "PairRule"] = {}


def full_pair(p: Gaussian, q: Gaussian) -> FullPair:
    """A pair that is not of two diagonals, by d × d matrices and factors of the covariances."""
    pair = make_pair(p, q)
    if isinstance(pair, Float64Pair):
        assert isinstance(pair.pair, LowRankPair)
        return pair.pair.dense()
    pair = pair.means if isinstance(pair, PrecisionPair) else pair
    assert isinstance(pair, FullPair)
    return pair


def diagonal_pair(p: Gaussian, q: Gaussian) -> DiagonalPair:
    """A pair of diagonals."""
    assert isinstance(p.scale, Diagonal)
    assert isinstance(q.scale, Diagonal)
    return DiagonalPair.of(p.mean, p.scale, q.mean, q.scale, p.event_shape)


def _low_rank(p: Gaussian, q: Gaussian) -> GaussianPair:
    dtype = p.mean.dtype
    p, q = (g.cast(torch.float64, g.mean.device) for g in (p, q))
    scales = (as_low_rank(g.scale, g.event_shape) for g in (p, q))
    return Float64Pair(LowRankPair.of(p.mean, next(scales), q.mean, next(scales)), dtype)


def _by_precisions(p: Gaussian, q: Gaussian) -> GaussianPair:
    precision_p, precision_q = _precision(p.scale, p.event_shape), _precision(q.scale, q.event_shape)
    mirrored = relative_factor(cholesky(precision_q), cholesky(precision_p), precision_q - precision_p)
    means = _by_factors(p, q)
    return PrecisionPair(FullPair(mirrored, means.whitened), means)


def _by_factors(p: Gaussian, q: Gaussian) -> FullPair:
    factor_q = q.scale.factor_matrix(q.event_shape)
    factor = relative_factor(p.scale.factor_matrix(p.event_shape), factor_q, None)
    return FullPair(factor, _whitened(p, q, factor_q))


def _by_covariances(p: Gaussian, q: Gaussian) -> GaussianPair:
    factor_q = q.scale.factor_matrix(q.event_shape)
    difference = covariance_difference(p.scale, q.scale, p.event_shape)
    factor = relative_factor(p.scale.factor_matrix(p.event_shape), factor_q, difference)
    return FullPair(factor, _whitened(p, q, factor_q))


RULES = (
    PairRule((Diagonal,), diagonal_pair, "per axis, from the ratio of the scales"),
    PairRule((Diagonal, LowRank), _low_rank, "low rank: no matrix larger than the factors"),
    PairRule((Diagonal, Precision), _by_precisions, "relative Cholesky factor of the precisions"),
    PairRule((Diagonal, Tril), _by_factors, "relative Cholesky factor, from the factors given"),
    PairRule((Scale,), _by_covariances, "relative Cholesky factor, corrected by the difference of the covariances"),
)


def covariance_difference(p: Scale, q: Scale, event: torch.Size) -> Tensor:
    """Σp − Σq, d × d, with what is given subtracted first."""
    kinds = {type(p), type(q)} - {Diagonal}
    if kinds <= {Tril}:
        factor_p, factor_q = p.factor_matrix(event), q.factor_matrix(event)
        change = factor_p - factor_q
        return change @ factor_p.mT + factor_q @ change.mT
    if kinds == {LowRank}:
        low_p, low_q = as_low_rank(p, event), as_low_rank(q, event)
        rank = max(low_p.rank, low_q.rank)
        return Difference.of(low_p.padded(rank), low_q.padded(rank)).matrix()
    if kinds == {Precision}:
        factor_p, factor_q = p.factor_matrix(event), q.factor_matrix(event)
        change = _precision(q, event) - _precision(p, event)
        return factor_p @ (factor_p.mT @ change @ factor_q) @ factor_q.mT
    return p.covariance_matrix(event) - q.covariance_matrix(event)


def _precision(scale: Scale, event: torch.Size) -> Tensor:
    return scale.stds(event).pow(-2).diag_embed() if scale.is_diagonal else scale.precision_matrix(event)


def _whitened(p: Gaussian, q: Gaussian, factor_q: Tensor) -> Tensor:
    delta = p.mean - q.mean
    if q.scale.is_diagonal:
        return delta / q.scale.stds(q.event_shape)
    return q.scale.whiten(delta) if type(q.scale) is Precision else solve_lower_vector(factor_q, delta)


def marginals(p: Gaussian) -> Gaussian:
    """The product of the marginals: the same means and standard deviations, without correlations."""
    if isinstance(p.scale, Diagonal):
        return p
    if isinstance(p.scale, Dense):
        return p.with_scale(Diagonal(p.scale.matrix.diagonal(dim1=-2, dim2=-1), "variance"))
    return p.with_scale(Diagonal(p.scale.stds(p.event_shape), "std"))
