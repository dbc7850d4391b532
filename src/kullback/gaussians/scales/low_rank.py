r"""Covariances :math:`\operatorname{diag}(v) + W W^\top`, which are never formed unless somebody asks for them.

Everything goes through the orthogonal factor of :math:`(B^\top\; I)^\top`, :math:`B = v^{-1/2} W`. Woodbury's identity,
which subtracts, loses everything when W is large against v; a regularized least-squares problem does not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.scales.base import MatrixScale, register
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.linear_algebra import lower_factor, solve_upper

# Up to this dimension a d × d matrix may be made where it gives the last digits in every case.
DENSE_UP_TO = 64


@register
@dataclass(frozen=True, eq=False)
class LowRank(MatrixScale):
    """Factors ``(*batch, d, r)`` and variances ``(*batch, d)``."""

    factor: Tensor
    variance: Tensor
    parameterization = "low_rank"
    _event_dims = (2, 1)

    @property
    def rank(self) -> int:
        """The number of columns of the factor."""
        return self.factor.shape[-1]

    def padded(self, rank: int) -> "LowRank":
        """The same covariance by a factor of this many columns, the further ones zero."""
        missing = self.factor.new_zeros(*self.factor.shape[:-1], rank - self.rank)
        return LowRank(torch.cat([self.factor, missing], -1), self.variance) if rank > self.rank else self

    def positive_variance(self) -> Tensor:
        """The variances; NaN where they are not positive."""
        return torch.where(self.variance > 0, self.variance, torch.nan)

    def covariance(self) -> Tensor:
        """diag(v) + W Wᵀ."""
        return self.positive_variance().diag_embed() + self.factor @ self.factor.mT

    def tril(self) -> Tensor:
        """By orthogonal transformations, so that a large factor does not drown a small variance."""
        std = self.positive_variance().sqrt().unsqueeze(-1)
        scaled = self.factor / std
        eye = torch.eye(scaled.shape[-2], dtype=scaled.dtype, device=scaled.device)
        stacked = torch.cat([scaled.mT, eye.expand(*scaled.shape[:-2], *eye.shape)], -2)
        return std * lower_factor(stacked)

    def thin_qr(self) -> tuple[Tensor, Tensor, Tensor]:
        """B, and of the QR factorization of B over I the upper part of Q, and R, which is a factor of I + BᵀB."""
        scaled = self.factor / self.positive_variance().sqrt().unsqueeze(-1)
        eye = torch.eye(self.rank, dtype=scaled.dtype, device=scaled.device)
        q, r = torch.linalg.qr(torch.cat([scaled, eye.expand(*scaled.shape[:-2], *eye.shape)], -2))
        return scaled, q[..., : scaled.shape[-2], :], r

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""
        triangular = self.thin_qr()[2].diagonal(dim1=-2, dim2=-1).abs().log().sum(-1)
        return 0.5 * self.positive_variance().log().sum(-1) + triangular

    def residual(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """For vectors y in units of the standard deviations, ``(*batch, d, k)``: y − Bw and the w that makes
        ‖y − Bw‖² + ‖w‖² smallest. The residual is (I + BBᵀ)⁻¹y, the minimum yᵀ(I + BBᵀ)⁻¹y.
        """
        scaled, q, r = self.thin_qr()
        w = solve_upper(r, q.mT @ columns)
        return columns - scaled @ w, w

    def half_mahalanobis(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""
        y = ((x - center) / self.positive_variance().sqrt()).unsqueeze(-1)
        residual, w = self.residual(y)
        return 0.5 * (residual.square().sum((-2, -1)) + w.square().sum((-2, -1)))

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""

        def noise(*size: int) -> Tensor:
            return torch.randn(size, generator=generator, dtype=like.dtype, device=like.device)

        own = self.positive_variance().sqrt() * noise(*shape)
        return own + (self.factor @ noise(*shape[:-1], self.rank).unsqueeze(-1)).squeeze(-1)

    def stds(self, event: torch.Size) -> Tensor:
        """The marginal standard deviations."""
        return self.variances(event).sqrt()

    def variances(self, event: torch.Size) -> Tensor:
        """The marginal variances, without a d × d matrix."""
        return self.positive_variance() + self.factor.square().sum(-1)

    def marginal(self, index: list[int]) -> "LowRank":
        """The rows of these coordinates."""
        chosen = torch.tensor(index, device=self.factor.device)
        return LowRank(self.factor[..., chosen, :], self.variance[..., chosen])

    def affine(self, matrix: Tensor) -> Tril:
        """The factor of A diag(v) Aᵀ + (A W)(A W)ᵀ, without a d × d matrix."""
        own = matrix * self.positive_variance().sqrt().unsqueeze(-2)
        shared = (matrix @ self.factor).expand(*own.shape[:-1], self.rank)
        return Tril(lower_factor(torch.cat([own, shared], -1).mT))

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """From the orthogonal factor: what of each axis the columns of B leave over."""
        if self.variance.shape[-1] <= DENSE_UP_TO:
            return super().conditional_stds(event)
        left = (1.0 - self.thin_qr()[1].square().sum(-1)).clamp(min=0.0)
        return (self.positive_variance() / left).sqrt()

    def to_torch(self, mean: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """As ``LowRankMultivariateNormal``."""
        return torch.distributions.LowRankMultivariateNormal(mean, self.factor, self.variance)
