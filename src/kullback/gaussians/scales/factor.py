r"""Covariances :math:`W W^\top` that may be singular: of samples fewer than coordinates, of boxes without width.

They have no density in the space, but a distribution, a support :math:`\mu + \operatorname{span} W` and distances.
"""

from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.scales.base import MatrixScale, register
from kullback.gaussians.scales.matrix import row_lengths
from kullback.numerics.linear_algebra import finite_or_zero
from kullback.numerics.pivoted import semidefinite_tolerance


@register
@dataclass(frozen=True, eq=False)
class Factor(MatrixScale):
    """Factors ``(*batch, d, r)`` of any rank."""

    factor: Tensor
    parameterization = "factor"
    has_density = False

    def root(self, event: torch.Size) -> Tensor:
        """As given."""
        return self.factor

    def covariance(self) -> Tensor:
        """W Wᵀ."""
        return self.factor @ self.factor.mT

    def tril(self) -> NoReturn:
        """There is none."""
        d, r = self.factor.shape[-2:]
        raise NotPositiveDefinite(
            f"this needs a density, and a Gaussian with a singular covariance has none (a factor of {r} columns for "
            f"{d} coordinates). Defined are wasserstein2 and, along a support that both have, kl_divergence, jeffreys, "
            "renyi, bhattacharyya, hellinger, chi_squared and geometric_jensen_shannon; the cross_entropy of a density "
            "under it; sample, marginal, affine and covariance_matrix."
        )

    @classmethod
    def directions(cls, factor: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The columns, each divided by its length, and the sizes of their errors, ``(*batch, r)``.

        Args:
            factor: in units in which each coordinate has about the standard deviation 1.
            eps: the precision of what it was given as.
        """
        lengths = torch.linalg.vector_norm(factor, dim=-2)
        there = lengths > 0
        unit = factor / torch.where(there, lengths, 1.0).unsqueeze(-2)
        return unit, torch.where(there, cls._errors(lengths, factor.shape[-2], eps), 0.0)

    @staticmethod
    def _errors(lengths: Tensor, d: int, eps: float) -> Tensor:
        """Each element was rounded, perhaps after a few operations."""
        return torch.full_like(lengths, 3 * eps)

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance: −∞ where it is singular."""
        d, r = self.factor.shape[-2:]
        if r < d:
            return self.factor.new_full(self.factor.shape[:-2], -torch.inf)
        size = row_lengths(self.factor)
        scaled = self.factor / torch.where(size > 0, size, 1.0).unsqueeze(-1)
        regular = rank(*self.directions(scaled, torch.finfo(size.dtype).eps)).rank == d
        values = torch.linalg.svdvals(finite_or_zero(scaled))
        logs = torch.where(regular.unsqueeze(-1), values * size, 1.0).log().sum(-1)
        return torch.where(regular, logs, -torch.inf)

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""
        size = (*shape[:-1], self.factor.shape[-1])
        noise = torch.randn(size, generator=generator, dtype=like.dtype, device=like.device)
        return (self.factor @ noise.unsqueeze(-1)).squeeze(-1)

    def stds(self, event: torch.Size) -> Tensor:
        """The lengths of the rows."""
        return row_lengths(self.factor)

    def variances(self, event: torch.Size) -> Tensor:
        """The squared lengths of the rows."""
        return self.factor.square().sum(-1)

    def marginal(self, index: list[int]) -> "Factor":
        """The rows of these coordinates."""
        return type(self)(self.factor[..., torch.tensor(index, device=self.factor.device), :])

    def affine(self, matrix: Tensor) -> "Factor":
        """The factor A W."""
        return type(self)(matrix @ self.factor)


@register
@dataclass(frozen=True, eq=False)
class FactorOfCovariance(Factor):
    """Factors that were computed of covariances, by pivots that are large enough."""

    @staticmethod
    def _errors(lengths: Tensor, d: int, eps: float) -> Tensor:
        """An error of the covariance is divided by the pivot."""
        return semidefinite_tolerance(d, eps) / lengths.clamp(max=1.0).square()


class Rank(NamedTuple):
    """How many dimensions the columns of factors span."""

    rank: Tensor
    unclear: Tensor
    """Whether one of these dimensions is at most 10 times as large as the errors of the columns."""
    perhaps_more: Tensor
    """Whether a dimension that is not counted is at least a tenth of that."""
    basis: Tensor
    """An orthonormal basis of the span, then zeros."""
    inverse: Tensor
    """What has the coordinates in the columns of a vector of the span."""


def rank(unit: Tensor, errors: Tensor) -> Rank:
    """The rank of factors of columns of length 1 with errors of these sizes."""
    basis, values, right = torch.linalg.svd(finite_or_zero(unit), full_matrices=False)
    size = torch.linalg.vector_norm(errors, dim=-1, keepdim=True)
    there = values > size
    inverse = right.mT @ (torch.where(there, 1.0 / torch.where(there, values, 1.0), 0.0).unsqueeze(-1) * basis.mT)
    unclear = (there & (values <= CLEAR * size)).any(-1)
    perhaps_more = (~there & (values > size / CLEAR)).any(-1)
    return Rank(there.sum(-1), unclear, perhaps_more, torch.where(there.unsqueeze(-2), basis, 0.0), inverse)


# What is so many times as large as its error is no rounding.
CLEAR = 10
