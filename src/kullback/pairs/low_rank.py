r"""Pairs of covariances :math:`D + W W^\top`, without any matrix larger than the factors.

The excess of p over q is an exact identity in the differences :math:`D_p - D_q` and :math:`W_p - W_q`: with
:math:`D_q^{-1/2} W_q = U s V^\top`, :math:`F = D_q^{-1/2}(W_p - W_q) V`, :math:`c = \sqrt{1 + s^2}`,
:math:`Q = U s/c`, :math:`P = F/c`, :math:`R = D_p/D_q`, :math:`\varepsilon = R - 1`, :math:`\rho = 1 - 1/R` and
:math:`M = R^{-1/2}(P - \tfrac{\varepsilon}{1 + \sqrt R} Q)`,

.. math:: 2K = \sum \varphi(\log R) + \sum_\lambda (\lambda - \log(1 + \lambda))
    + \sum_{ij} f_{ij}^2 \frac{s_j^2 - s_i^2}{c_i^2 c_j^2} + \sum_j \frac{s_j^2}{c_j^2} \|F^\perp_j\|^2
    + \sum_i \rho_i (2 q_i \cdot p_i + \|p_i\|^2 - \varepsilon_i \|q_i\|^2),

:math:`\lambda` the eigenvalues of :math:`Q^\top M + M^\top Q + M^\top M`, :math:`f = U^\top F`,
:math:`F^\perp = F - U f`. Every term vanishes with the differences. Where p and q are so far apart that the terms
cancel, the trace and the two determinants are taken by themselves. Derivatives have closed forms in
:math:`\Sigma_p - \Sigma_q`, and never pass through the singular value decomposition.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.scales.low_rank import DENSE_UP_TO, LowRank
from kullback.numerics.elementary import half_phi, log_ratio, power_of_two
from kullback.numerics.gradients import with_value
from kullback.numerics.linear_algebra import finite_or_zero
from kullback.numerics.tensors import broadcast_shapes
from kullback.pairs.base import GaussianPair
from kullback.pairs.full import FullPair, is_near, relative_factor

# The identity is taken where its terms are smaller than the separate ones, unless an axis is this much narrower in p
# than in q, or the relative covariance this narrow or wide.
_NARROW = 1e-2
_WIDE = 1e2

# The size of a factor, in units of the standard deviations beside it, from which a d × d matrix loses digits.
_LARGE = 1e2


@dataclass(frozen=True, eq=False)
class Difference:
    """Σp − Σq as diag(own) + left rightᵀ; symmetric."""

    own: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, p: LowRank, q: LowRank) -> "Difference":
        """Of two scales of one rank, with what is given subtracted first."""
        change = p.factor - q.factor
        left, right = torch.broadcast_tensors(
            torch.cat([change, q.factor.expand_as(change)], -1), torch.cat([p.factor.expand_as(change), change], -1)
        )
        return cls(p.positive_variance() - q.positive_variance(), left, right)

    def is_zero(self) -> Tensor:
        """Is there none?"""
        change = self.left[..., : self.left.shape[-1] // 2]
        return (self.own == 0).all(-1) & (change == 0).all(-1).all(-1)

    def times(self, number: float) -> "Difference":
        """The multiple of it."""
        return Difference(number * self.own, number * self.left, self.right)

    def matrix(self) -> Tensor:
        """As a d × d matrix."""
        return self.own.diag_embed() + self.left @ self.right.mT

    def __matmul__(self, columns: Tensor) -> Tensor:
        return self.own.unsqueeze(-1) * columns + self.left @ (self.right.mT @ columns)


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
        return with_value(dense, _value(detached(self.p), detached(self.q)))

    def half_trace(self) -> Tensor:
        """From the excess and the determinants."""
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
        benign = torch.maximum(_size(self.p), _size(self.q)) < _LARGE
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


def detached(scale: LowRank) -> LowRank:
    """The same without derivatives."""
    return scale.map(lambda x, _: x.detach())


def low_rank_covariance_term(p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    """½[tr(Σq⁻¹Σp) − d − log det(Σq⁻¹Σp)] for scales of one rank with this difference."""
    value = _value(detached(p), detached(q))
    # The closed forms lose digits to the size of the factors, the derivatives of the separate terms to the smallness of
    # the difference.
    close = _relative_change(p, q, difference) * (1.0 + torch.maximum(_size(p), _size(q)).square()) < 1.0
    far, _ = _by_terms(p, q)
    return torch.where(close, _with_closed_gradients(value, p, q, difference), with_value(far, value))


def _relative_change(p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    """The size of the difference against that of q."""
    own = (difference.own / q.positive_variance()).detach().abs().amax(-1)
    root = q.positive_variance().rsqrt().unsqueeze(-1)
    rank = difference.left.shape[-1] // 2
    factor: Tensor = torch.linalg.matrix_norm((root * difference.left[..., :rank]).detach())
    return own + factor / (1.0 + _size(q))


def _with_closed_gradients(value: Tensor, p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    seen = _PrecisionOperator.of(q)
    gradients = (
        (p.factor, seen.applied(difference, _PrecisionOperator.of(p), p.factor), (-2, -1)),
        (p.variance, 0.5 * seen.diagonal(difference, _PrecisionOperator.of(p)), (-1,)),
        (q.factor, -seen.applied(difference, seen, q.factor), (-2, -1)),
        (q.variance, -0.5 * seen.diagonal(difference, seen), (-1,)),
    )
    for x, gradient, dims in gradients:
        # Right to second order: the gradient of this is the gradient, and its derivative the derivative of that.
        value = value + 0.5 * ((gradient + gradient.detach()) * (x - x.detach())).sum(dims)
    return value


@dataclass(frozen=True, eq=False)
class _PrecisionOperator:
    """The inverse of a low-rank covariance as an operator."""

    scale: LowRank
    root: Tensor  # of D⁻¹
    basis: Tensor  # Z, with Σ⁻¹ = D⁻¹ − ZZᵀ

    @classmethod
    def of(cls, scale: LowRank) -> "_PrecisionOperator":
        root = scale.positive_variance().rsqrt()
        return cls(scale, root, root.unsqueeze(-1) * scale.thin_qr()[1])

    def solve(self, columns: Tensor) -> Tensor:
        """Σ⁻¹ times columns."""
        return self.root.unsqueeze(-1) * self.scale.residual(self.root.unsqueeze(-1) * columns)[0]

    def applied(self, difference: Difference, other: "_PrecisionOperator", columns: Tensor) -> Tensor:
        """Σ⁻¹ S Σ'⁻¹ times columns."""
        return self.solve(difference @ other.solve(columns))

    def diagonal(self, difference: Difference, other: "_PrecisionOperator") -> Tensor:
        """The diagonal of Σ⁻¹ S Σ'⁻¹."""
        own = difference.own
        crossed = (self.solve(difference.left) * other.solve(difference.right)).sum(-1)
        mine, others = self.root.square(), other.root.square()
        middle = self.basis.mT @ (own.unsqueeze(-1) * other.basis)
        return (
            crossed
            + own * (mine * others - mine * other.basis.square().sum(-1) - others * self.basis.square().sum(-1))
            + ((self.basis @ middle) * other.basis).sum(-1)
        )


def _value(p: LowRank, q: LowRank) -> Tensor:
    """The excess without derivatives."""
    near, near_size = _by_identity(_turned(p, q), q)
    far, far_size = _by_terms(p, q)
    return torch.where(near_size <= far_size, near, far)


def _size(scale: LowRank) -> Tensor:
    """The norm of D^(-1/2) W."""
    kept = detached(scale)
    size: Tensor = torch.linalg.matrix_norm(kept.factor / kept.positive_variance().sqrt().unsqueeze(-1))
    return size


def _turned(p: LowRank, q: LowRank) -> LowRank:
    """The same covariance with its factor rotated onto that of q, if this brings them much nearer to each other."""
    scale = q.positive_variance().rsqrt().unsqueeze(-1)
    u, _, v = torch.linalg.svd(finite_or_zero((scale * p.factor).mT @ (scale * q.factor)), full_matrices=False)
    turned = p.factor @ (u @ v)
    before, after = (torch.linalg.matrix_norm(scale * (w - q.factor)) for w in (p.factor, turned))
    return LowRank(torch.where((after < 0.5 * before)[..., None, None], turned, p.factor), p.variance)


def _by_identity(p: LowRank, q: LowRank) -> tuple[Tensor, Tensor]:
    """The identity, and the sum of the sizes of its terms, of which it has the rounding error; infinite if it is not to
    be used.
    """
    d_p, d_q = p.positive_variance(), q.positive_variance()
    root = d_q.rsqrt().unsqueeze(-1)
    u, s, v = torch.linalg.svd(finite_or_zero(root * q.factor), full_matrices=False)
    moved = root * (p.factor - q.factor) @ v.mT
    square = s * s
    c_square = 1.0 + square
    c = c_square.sqrt().unsqueeze(-2)
    ratio, epsilon, rho = d_p / d_q, (d_p - d_q) / d_q, (d_p - d_q) / d_p
    kappa = (epsilon / (1.0 + ratio.sqrt())).unsqueeze(-1)
    big_q, big_p = u * (s.unsqueeze(-2) / c), moved / c
    m = (big_p - kappa * big_q) / ratio.sqrt().unsqueeze(-1)
    cross = big_q.mT @ m
    eigenvalues = torch.linalg.eigvalsh(finite_or_zero(cross + cross.mT + m.mT @ m))
    inside = eigenvalues > -1.0
    log1p = torch.log1p(torch.where(inside, eigenvalues, 0.0))
    f = u.mT @ moved
    outside = moved - u @ f
    weights = (square.unsqueeze(-2) - square.unsqueeze(-1)) / (c_square.unsqueeze(-2) * c_square.unsqueeze(-1))
    crossed = (f.square() * weights).flatten(-2)
    across = (square / c_square) * outside.square().sum(-2)
    along = rho * (2.0 * (big_q * big_p).sum(-1) + big_p.square().sum(-1) - epsilon * big_q.square().sum(-1))
    sizes = rho.abs() * (
        2.0 * (big_q * big_p).abs().sum(-1) + big_p.square().sum(-1) + epsilon.abs() * big_q.square().sum(-1)
    )
    positive = half_phi(log_ratio(d_p, d_q)).sum(-1) + half_phi(log1p).sum(-1) + 0.5 * across.sum(-1)
    value = positive + 0.5 * (crossed.sum(-1) + along.sum(-1))
    size = positive + 0.5 * (crossed.abs().sum(-1) + sizes.sum(-1))
    apart = (eigenvalues > _NARROW - 1.0).all(-1) & (eigenvalues < _WIDE).all(-1) & (ratio > _NARROW).all(-1)
    return value, torch.where(apart | (size == 0.0), size, torch.inf)


def _by_terms(p: LowRank, q: LowRank) -> tuple[Tensor, Tensor]:
    """½ trace − ½d − half the logarithm of the ratio of determinants, and the sum of their sizes."""
    event = q.variance.shape[-1:]
    root = q.positive_variance().rsqrt()
    columns = root.unsqueeze(-1) * p.factor
    residual, w = q.residual(columns.expand(*broadcast_shapes(columns.shape, q.factor.shape)))
    rows = q.thin_qr()[1].square().sum(-1)
    ratio = p.positive_variance() / q.positive_variance()
    trace = residual.square().sum((-2, -1)) + w.square().sum((-2, -1))
    value = 0.5 * (trace + (ratio * (1.0 - rows) - 1.0).sum(-1)) - (p.half_log_det(event) - q.half_log_det(event))
    return value, 0.5 * (trace + ratio.sum(-1) + event[0])
