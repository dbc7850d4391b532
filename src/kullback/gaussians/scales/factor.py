r"""Covariances :math:`W W^\top` that may be singular: of samples fewer than coordinates, of boxes without width.

They have no density in the space, but a distribution, a support :math:`\mu + \operatorname{span} W` and distances.
"""

from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.scales.base import MatrixScale, register
from kullback.gaussians.scales.matrix import row_lengths
from kullback.numerics.linear_algebra import finite_or_zero

# A singular value of less than so many rounding errors of the largest, for each dimension of the factor, counts as 0.
RANK_TOLERANCE = 10


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

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance: −∞ where it is singular."""
        values = torch.linalg.svdvals(finite_or_zero(self.factor))[..., : self.factor.shape[-2]]
        singular = rank(values, self.factor) < self.factor.shape[-2]
        return torch.where(singular, -torch.inf, torch.where(singular[..., None], 1.0, values).log().sum(-1))

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
        return Factor(self.factor[..., torch.tensor(index, device=self.factor.device), :])

    def affine(self, matrix: Tensor) -> "Factor":
        """The factor A W."""
        return Factor(matrix @ self.factor)


def rank(values: Tensor, factor: Tensor, eps: float | None = None) -> Tensor:
    """How many of the singular values of a factor, which are in descending order, are not 0 but for rounding.

    ``eps`` is the precision that the factor was given in, if not that of its dtype.
    """
    eps = torch.finfo(factor.dtype).eps if eps is None else eps
    return (values > RANK_TOLERANCE * max(factor.shape[-2:]) * eps * values[..., :1]).sum(-1)
