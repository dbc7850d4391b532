"""Covariances, their Cholesky factors, and precisions: scales of d × d matrices."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.scales.base import MatrixScale, register
from kullback.numerics.linear_algebra import (
    cholesky,
    identity_like,
    lower_factor,
    solve_lower,
    solve_lower_vector,
    symmetrized,
)


def row_lengths(factor: Tensor) -> Tensor:
    """The marginal standard deviations of a factor."""
    lengths: Tensor = torch.linalg.vector_norm(factor, dim=-1)
    return lengths


@register
@dataclass(frozen=True, eq=False)
class Dense(MatrixScale):
    """Covariance matrices."""

    matrix: Tensor
    parameterization = "covariance"

    def covariance(self) -> Tensor:
        """As given."""
        return symmetrized(self.matrix)

    def tril(self) -> Tensor:
        """The Cholesky factor."""
        return cholesky(self.covariance())

    def marginal(self, index: list[int]) -> "Dense":
        """The rows and columns of these coordinates."""
        chosen = torch.tensor(index, device=self.matrix.device)
        return Dense(self.matrix[..., chosen, :][..., chosen])

    def affine(self, matrix: Tensor) -> "Dense":
        """A Σ Aᵀ."""
        return Dense(symmetrized(matrix @ self.covariance() @ matrix.mT))


@register
@dataclass(frozen=True, eq=False)
class Tril(MatrixScale):
    """Lower triangular factors of covariances."""

    factor: Tensor
    parameterization = "scale_tril"

    def covariance(self) -> Tensor:
        """L Lᵀ."""
        factor = self.tril()
        return factor @ factor.mT

    def tril(self) -> Tensor:
        """As given; NaN where the diagonal is not positive."""
        factor = self.factor.tril()
        positive = (factor.diagonal(dim1=-2, dim2=-1) > 0).all(-1)
        return torch.where(positive[..., None, None], factor, torch.nan)

    def stds(self, event: torch.Size) -> Tensor:
        """The lengths of the rows."""
        return row_lengths(self.tril())

    def variances(self, event: torch.Size) -> Tensor:
        """The squared lengths of the rows."""
        return self.tril().square().sum(-1)

    def marginal(self, index: list[int]) -> "Tril":
        """From the rows of these coordinates; the leading ones as they are."""
        if index == list(range(len(index))):
            return Tril(self.factor[..., : len(index), : len(index)])
        return Tril(lower_factor(self.tril()[..., torch.tensor(index, device=self.factor.device), :].mT))

    def affine(self, matrix: Tensor) -> "Tril":
        """The factor of (A L)(A L)ᵀ."""
        return Tril(lower_factor((matrix @ self.tril()).mT))


@register
@dataclass(frozen=True, eq=False)
class Precision(MatrixScale):
    """Precision matrices: the inverses of covariances."""

    matrix: Tensor
    parameterization = "precision"

    def precision(self) -> Tensor:
        """As given."""
        return symmetrized(self.matrix)

    def precision_matrix(self, event: torch.Size) -> Tensor:
        """As given."""
        return self.precision()

    def inverse_tril(self) -> Tensor:
        """L⁻¹, lower triangular: the precision is its transpose times itself."""
        return cholesky(self.precision().flip(-2, -1)).flip(-2, -1).mT

    def covariance(self) -> Tensor:
        """The inverse, as L Lᵀ."""
        factor = self.tril()
        return factor @ factor.mT

    def tril(self) -> Tensor:
        """The inverse of the factor that the precision has."""
        inverse = self.inverse_tril()
        return solve_lower(inverse, identity_like(inverse).expand_as(inverse))

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """From the diagonal as it was given."""
        return self.precision().diagonal(dim1=-2, dim2=-1).rsqrt()

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""
        return -self.inverse_tril().diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def whiten(self, x: Tensor) -> Tensor:
        """L⁻¹x: a product, not a solution."""
        return (self.inverse_tril() @ x.unsqueeze(-1)).squeeze(-1)

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""
        noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
        return solve_lower_vector(self.inverse_tril(), noise)

    def stds(self, event: torch.Size) -> Tensor:
        """The lengths of the rows of L."""
        return row_lengths(self.tril())

    def variances(self, event: torch.Size) -> Tensor:
        """The squared lengths of the rows of L."""
        return self.tril().square().sum(-1)

    def marginal(self, index: list[int]) -> Tril:
        """From the rows of L of these coordinates."""
        return Tril(self.tril()).marginal(index)

    def affine(self, matrix: Tensor) -> Tril:
        """The factor of (A L)(A L)ᵀ."""
        return Tril(self.tril()).affine(matrix)
