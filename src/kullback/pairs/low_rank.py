r"""Pairs of covariances :math:`D + W W^\top`, without any matrix larger than the factors.

The covariance term is that of ``low_rank_covariance.py``; the mean term is a regularized least-squares problem.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.scales.low_rank import DENSE_UP_TO, LowRank
from kullback.numerics.elementary import power_of_two
from kullback.numerics.gradients import with_value
from kullback.pairs.base import GaussianPair
from kullback.pairs.full import FullPair, is_near, relative_factor
from kullback.pairs.low_rank_covariance import (
    Difference,
    covariance_term_without_derivatives,
    factor_size,
    low_rank_covariance_term,
)

# The size of a factor, in units of the standard deviations beside it, from which a d × d matrix loses digits.
_LARGE = 1e2


@dataclass(frozen=True, eq=False)
class LowRankPair(GaussianPair):
    """A pair of low-rank scales (a diagonal one is of rank 0)."""

    mean_p: Tensor
    p: LowRank
    mean_q: Tensor
    q: LowRank

    @classmethod
    def of(cls, mean_p: Tensor, p: LowRank, mean_q: Tensor, q: LowRank) -> "LowRankPair":
        """The pair, ranks made equal by columns of zeros."""
        rank = max(p.rank, q.rank)
        # In units of powers of two near q's standard deviations, which rounds nothing: what a covariance and its
        # inverse are multiplied to stays within the range of numbers.
        unit = power_of_two(q.positive_variance().detach().sqrt())

        def scaled(scale: LowRank) -> LowRank:
            return LowRank(scale.factor / unit.unsqueeze(-1), scale.variance / unit / unit).padded(rank)

        return cls(mean_p / unit, scaled(p), mean_q / unit, scaled(q))

    def difference(self) -> Difference:
        """Σp − Σq."""
        return Difference.of(self.p, self.q)

    def dense(self) -> FullPair:
        """The same pair by d × d matrices."""
        factor = relative_factor(self.p.tril(), self.q.tril(), self.difference().matrix())
        return FullPair(factor, self.q.whiten(self.mean_p - self.mean_q))

    def covariance_term(self) -> Tensor:
        """By the identity, or by separate terms; in few dimensions with the derivatives of the d × d form."""
        if self.q.variance.shape[-1] > DENSE_UP_TO:
            return low_rank_covariance_term(self.p, self.q, self.difference())
        dense = self.dense().covariance_term()
        return with_value(dense, covariance_term_without_derivatives(self.p, self.q))

    def half_trace(self) -> Tensor:
        """From the covariance term and the determinants."""
        event = self.q.variance.shape[-1:]
        dets = self.p.half_log_det(event) - self.q.half_log_det(event)
        return self.covariance_term() + 0.5 * event[0] + dets

    def mean_term(self) -> Tensor:
        """By a regularized least-squares problem."""
        return self.q.half_mahalanobis(self.mean_p, self.mean_q, self.q.variance.shape[-1:])

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """From p and q to the low-rank covariance between; beyond α = 1, where there is none, by d × d matrices."""
        if alpha > 1.0:
            return self.dense().between(alpha)
        square = self._between(alpha).half_mahalanobis(self.mean_p, self.mean_q, self.q.variance.shape[-1:])
        if self.q.variance.shape[-1] > DENSE_UP_TO:
            return self._half_gap(alpha), square
        # Near p = q the covariance between is near both, by factors that are not: that costs digits, and an exact 0.
        dense = self.dense()
        benign = torch.maximum(factor_size(self.p), factor_size(self.q)) < _LARGE
        gap, _ = dense.between(alpha)
        by_matrices = is_near(dense.factor.detach().excess()) | benign
        return with_value(gap, torch.where(by_matrices, gap, self._half_gap(alpha))), square

    def _half_gap(self, alpha: float) -> Tensor:
        beta = 1.0 - alpha
        between, difference = self._between(alpha), self.difference()
        from_p = low_rank_covariance_term(self.p.padded(between.rank), between, difference.times(alpha))
        from_q = low_rank_covariance_term(self.q.padded(between.rank), between, difference.times(-beta))
        gap = from_p + (alpha / beta) * from_q
        # The factor between is rounded even where there is nothing between.
        return torch.where(difference.is_zero(), with_value(gap, torch.zeros_like(gap)), gap)

    def _between(self, alpha: float) -> LowRank:
        beta = 1.0 - alpha
        factors = torch.broadcast_tensors(beta**0.5 * self.p.factor, alpha**0.5 * self.q.factor)
        return LowRank(torch.cat(factors, -1), beta * self.p.variance + alpha * self.q.variance)
