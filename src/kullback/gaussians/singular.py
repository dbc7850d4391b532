"""Scales of covariances that may be singular, where a constructor is asked for them. Their values are read."""

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.gaussians.scales.base import MatrixScale, Scale
from kullback.gaussians.scales.factor import Factor, FactorOfCovariance
from kullback.gaussians.scales.matrix import Dense, Tril, row_lengths
from kullback.gaussians.validation import check_finite, check_symmetric
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import cholesky, lower_factor, solve_lower
from kullback.numerics.pivoted import Pivots, pivoted_cholesky

# A row of which the rows before leave less than so many rounding errors, for each column, is a combination of them.
_TOLERANCE = 10


def scale_of_factor(factor: Tensor) -> MatrixScale:
    """The covariances A Aᵀ: a triangular factor where all have full rank, otherwise the factors as they are."""
    d, r = factor.shape[-2:]
    if r == 0:
        return Factor(factor.new_zeros(*factor.shape[:-1], 1))
    if r < d or not is_concrete(factor):
        return Factor(factor)
    lower = lower_factor(factor.mT)
    left = lower.detach().diagonal(dim1=-2, dim2=-1) / row_lengths(factor.detach())
    if bool((left > _TOLERANCE * r * torch.finfo(factor.dtype).eps).all()):
        return Tril(lower)
    return Factor(factor if r == d else torch.linalg.qr(factor.mT).R.mT)


def with_density(scale: Scale) -> Scale:
    """A scale that may be singular as one with a density, if it is regular and its values can be read."""
    if not isinstance(scale, Factor):
        return scale
    found = scale_of_factor(scale.factor)
    return found if found.has_density else scale


def scale_of_covariance(matrix: Tensor) -> MatrixScale:
    r"""Covariances, or factors of them if one is singular.

    With the pivots :math:`\pi` of a Cholesky factorization of rank r, the factor is
    :math:`\Sigma_{:,\pi} L^{-\top}`, L that of :math:`\Sigma_{\pi,\pi}`. It has the derivatives of every change of the
    covariance that keeps its rank.

    Raises:
        NotPositiveDefinite: if a matrix has a negative eigenvalue beyond rounding.
        ValueError: if a matrix is not symmetric or not finite, or its values cannot be read.
    """
    if not is_concrete(matrix):
        raise ValueError("singular=True looks for the rank of the covariance: not under a transform of torch.")
    check_finite(matrix, "covariance", validate=True)
    check_symmetric(matrix, "covariance")
    d = matrix.shape[-1]
    flat = matrix.detach().double().reshape(-1, d, d).cpu()
    found = [pivoted_cholesky(x, torch.finfo(matrix.dtype).eps) for x in 0.5 * (flat + flat.mT)]
    for k, one in enumerate(found):
        if one.negative is not None:
            where = list(_place(k, matrix.shape[:-2]))
            raise NotPositiveDefinite(
                f"covariance{where or ''} is not positive semidefinite: the other coordinates leave {one.left:.2g} of "
                f"the variance of coordinate {one.negative}. If it was computed in a lower precision, pass that dtype."
            )
    if all(one.rank == d for one in found):
        return Dense(matrix)
    return FactorOfCovariance(_factor(matrix, found).to(matrix.dtype))


def _factor(matrix: Tensor, found: list[Pivots]) -> Tensor:
    ranks = torch.tensor([one.rank for one in found], device=matrix.device)
    columns = max(1, int(ranks.max())) if found else 1
    order = torch.stack([one.order for one in found]).to(matrix.device)[:, :columns]
    x = matrix.double().reshape(-1, *matrix.shape[-2:])
    x = 0.5 * (x + x.mT)
    tall = x.gather(-1, order[:, None].expand(-1, x.shape[-1], -1))
    # Of a matrix of lower rank than others, the further columns are zero.
    kept = torch.arange(columns, device=matrix.device) < ranks[:, None]
    tall = torch.where(kept[:, None], tall, 0.0)
    block = tall.gather(-2, order[..., None].expand(-1, -1, columns))
    eye = torch.eye(columns, dtype=x.dtype, device=x.device)
    block = torch.where(kept[:, None] & kept[..., None], block, eye)
    return solve_lower(cholesky(block), tall.mT).mT.reshape(*matrix.shape[:-1], columns)


def _place(k: int, batch: torch.Size) -> tuple[int, ...]:
    return tuple(int(i) for i in torch.unravel_index(torch.tensor(k), batch)) if batch else ()
