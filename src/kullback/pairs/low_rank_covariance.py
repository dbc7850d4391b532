r"""The covariance term of two covariances :math:`D + W W^\top`, without any matrix larger than the factors.

It is an exact identity in the differences :math:`D_p - D_q` and :math:`W_p - W_q`: with
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

from kullback.gaussians.scales.low_rank import LowRank
from kullback.numerics.elementary import half_phi, log_ratio
from kullback.numerics.gradients import with_value
from kullback.numerics.linear_algebra import finite_or_zero
from kullback.numerics.tensors import broadcast_shapes

# The identity is taken where its terms are smaller than the separate ones, unless an axis is this much narrower in p
# than in q, or the relative covariance this narrow or wide.
_NARROW = 1e-2
_WIDE = 1e2


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


def low_rank_covariance_term(p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    """½[tr(Σq⁻¹Σp) − d − log det(Σq⁻¹Σp)] for scales of one rank with this difference."""
    value = covariance_term_without_derivatives(p, q)
    # The closed forms lose digits to the size of the factors, the derivatives of the separate terms to the smallness of
    # the difference.
    close = _relative_change(p, q, difference) * (1.0 + torch.maximum(factor_size(p), factor_size(q)).square()) < 1.0
    far, _ = _by_terms(p, q)
    return torch.where(close, _with_closed_gradients(value, p, q, difference), with_value(far, value))


def _relative_change(p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    """The size of the difference against that of q."""
    own = (difference.own / q.positive_variance()).detach().abs().amax(-1)
    root = q.positive_variance().rsqrt().unsqueeze(-1)
    rank = difference.left.shape[-1] // 2
    factor: Tensor = torch.linalg.matrix_norm((root * difference.left[..., :rank]).detach())
    return own + factor / (1.0 + factor_size(q))


def _with_closed_gradients(value: Tensor, p: LowRank, q: LowRank, difference: Difference) -> Tensor:
    precision_q = _PrecisionOperator.of(q)
    gradients = (
        (p.factor, precision_q.applied(difference, _PrecisionOperator.of(p), p.factor), (-2, -1)),
        (p.variance, 0.5 * precision_q.diagonal(difference, _PrecisionOperator.of(p)), (-1,)),
        (q.factor, -precision_q.applied(difference, precision_q, q.factor), (-2, -1)),
        (q.variance, -0.5 * precision_q.diagonal(difference, precision_q), (-1,)),
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


def covariance_term_without_derivatives(p: LowRank, q: LowRank) -> Tensor:
    """The value alone: by the identity where its terms are the smaller ones, else by separate terms."""
    p, q = (scale.map(lambda x, _: x.detach()) for scale in (p, q))
    near, near_size = _by_identity(_turned(p, q), q)
    far, far_size = _by_terms(p, q)
    return torch.where(near_size <= far_size, near, far)


def factor_size(scale: LowRank) -> Tensor:
    """The norm of D^(-1/2) W."""
    kept = scale.map(lambda x, _: x.detach())
    size: Tensor = torch.linalg.matrix_norm(kept.factor / kept.positive_variance().sqrt().unsqueeze(-1))
    return size


def _turned(p: LowRank, q: LowRank) -> LowRank:
    """The same covariance with its factor rotated onto that of q, if this brings them much nearer to each other."""
    scale = q.positive_variance().rsqrt().unsqueeze(-1)
    u, _, v = torch.linalg.svd(finite_or_zero((scale * p.factor).mT @ (scale * q.factor)), full_matrices=False)
    turned = p.factor @ (u @ v)
    before, after = (torch.linalg.matrix_norm(scale * (w - q.factor)) for w in (p.factor, turned))
    return LowRank(torch.where((after < 0.5 * before)[..., None, None], turned, p.factor), p.variance)


@dataclass(frozen=True, eq=False)
class _Whitened:
    """Both scales in units of q's standard deviations, in the coordinates of the singular value decomposition of its
    factor: the quantities of the identity above, by the names that they have there.
    """

    s_square: Tensor  # s², (*batch, r)
    c_square: Tensor  # c² = 1 + s²
    u: Tensor  # U, (*batch, d, r)
    f: Tensor  # F
    q: Tensor  # Q = U s / c
    p: Tensor  # P = F / c
    ratio: Tensor  # R = D_p / D_q, (*batch, d)
    epsilon: Tensor  # R - 1
    rho: Tensor  # 1 - 1/R

    @classmethod
    def of(cls, p: LowRank, q: LowRank) -> "_Whitened":
        d_p, d_q = p.positive_variance(), q.positive_variance()
        root = d_q.rsqrt().unsqueeze(-1)
        u, s, v = torch.linalg.svd(finite_or_zero(root * q.factor), full_matrices=False)
        f = root * (p.factor - q.factor) @ v.mT
        s_square = s * s
        c_square = 1.0 + s_square
        c = c_square.sqrt().unsqueeze(-2)
        epsilon, rho = (d_p - d_q) / d_q, (d_p - d_q) / d_p
        return cls(s_square, c_square, u, f, u * (s.unsqueeze(-2) / c), f / c, d_p / d_q, epsilon, rho)

    def eigenvalues(self) -> Tensor:
        """λ, of QᵀM + MᵀQ + MᵀM."""
        kappa = (self.epsilon / (1.0 + self.ratio.sqrt())).unsqueeze(-1)
        m = (self.p - kappa * self.q) / self.ratio.sqrt().unsqueeze(-1)
        cross = self.q.mT @ m
        eigenvalues: Tensor = torch.linalg.eigvalsh(finite_or_zero(cross + cross.mT + m.mT @ m))
        return eigenvalues

    def is_applicable(self, eigenvalues: Tensor) -> Tensor:
        """Is no axis, and no direction of the relative covariance, much narrower or wider in p than in q?"""
        within = (eigenvalues > _NARROW - 1.0).all(-1) & (eigenvalues < _WIDE).all(-1)
        return within & (self.ratio > _NARROW).all(-1)


def _by_identity(p: LowRank, q: LowRank) -> tuple[Tensor, Tensor]:
    """The identity, and the sum of the sizes of its terms, of which it has the rounding error; infinite where it does
    not apply.
    """
    x = _Whitened.of(p, q)
    eigenvalues = x.eigenvalues()
    log1p = torch.log1p(torch.where(eigenvalues > -1.0, eigenvalues, 0.0))
    f = x.u.mT @ x.f
    outside = x.f - x.u @ f
    s_square, c_square = x.s_square, x.c_square
    weights = (s_square.unsqueeze(-2) - s_square.unsqueeze(-1)) / (c_square.unsqueeze(-2) * c_square.unsqueeze(-1))
    crossed = (f.square() * weights).flatten(-2)
    across = (s_square / c_square) * outside.square().sum(-2)
    # Of one sign each are the first three terms; the others come with the sum of their sizes.
    same_sign = (
        half_phi(log_ratio(p.positive_variance(), q.positive_variance())).sum(-1)
        + half_phi(log1p).sum(-1)
        + 0.5 * across.sum(-1)
    )
    product, p_square, q_square = x.q * x.p, x.p.square().sum(-1), x.q.square().sum(-1)
    along = x.rho * (2.0 * product.sum(-1) + p_square - x.epsilon * q_square)
    along_size = x.rho.abs() * (2.0 * product.abs().sum(-1) + p_square + x.epsilon.abs() * q_square)
    value = same_sign + 0.5 * (crossed.sum(-1) + along.sum(-1))
    size = same_sign + 0.5 * (crossed.abs().sum(-1) + along_size.sum(-1))
    return value, torch.where(x.is_applicable(eigenvalues) | (size == 0.0), size, torch.inf)


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
