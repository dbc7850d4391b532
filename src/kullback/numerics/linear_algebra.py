"""What the formulas need of linear algebra, with types, and NaN instead of exceptions."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import active_transform


def cholesky(matrix: Tensor) -> Tensor:
    """The lower Cholesky factor; NaN, and never an exception, where the matrix is not positive definite."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.where((info == 0)[..., None, None], factor, torch.nan)


def symmetrized(matrix: Tensor) -> Tensor:
    """The mean of a matrix and its transpose: itself, and symmetric in its gradients."""
    return 0.5 * (matrix + matrix.mT)


# L⁻¹ times columns.
solve_lower: Callable[[Tensor, Tensor], Tensor] = functools.partial(torch.linalg.solve_triangular, upper=False)


def solve_lower_vector(factor: Tensor, x: Tensor) -> Tensor:
    """L⁻¹ times one vector."""
    return solve_lower(factor, x.unsqueeze(-1)).squeeze(-1)


# U⁻¹ times columns.
solve_upper: Callable[[Tensor, Tensor], Tensor] = functools.partial(torch.linalg.solve_triangular, upper=True)


def whitened(matrix: Tensor, factor: Tensor) -> Tensor:
    """L⁻¹ A L⁻ᵀ, symmetric as A is."""
    return symmetrized(solve_lower(factor, solve_lower(factor, matrix).mT))


def lower_factor(rows: Tensor) -> Tensor:
    """The lower triangular L with positive diagonal and L Lᵀ = AᵀA, from A without forming the product."""
    if rows.shape[-1] <= _FEW:
        return _by_orthogonalization(rows)
    # Derivatives need the orthogonal factor, which costs as much again.
    needs_both = active_transform() or any_requires_grad(rows)
    upper: Tensor = torch.linalg.qr(rows, mode="reduced" if needs_both else "r").R
    return (upper * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-1)).mT


# Of so few columns LAPACK is called for longer than it computes.
_FEW = 3


def _by_orthogonalization(rows: Tensor) -> Tensor:
    """The same by the modified Gram–Schmidt process, whose triangle is as accurate as that of reflections."""
    left, factor = list(rows.unbind(-1)), []
    zero = torch.zeros_like(left[0][..., 0])
    for j, column in enumerate(left):
        size = torch.linalg.vector_norm(column, dim=-1)
        unit = column / size.unsqueeze(-1)
        along = [(unit * x).sum(-1) for x in left[j + 1 :]]
        left[j + 1 :] = [x - a.unsqueeze(-1) * unit for x, a in zip(left[j + 1 :], along, strict=True)]
        factor.append(torch.stack([zero] * j + [size, *along], -1))
    return torch.stack(factor, -1)


def finite_or_zero(matrix: Tensor) -> Tensor:
    """The matrices, or zero for one with a NaN or infinity in it, on which decompositions raise an exception."""
    return torch.where(torch.isfinite(matrix).all(-1).all(-1)[..., None, None], matrix, 0.0)


def identity_like(matrix: Tensor) -> Tensor:
    """The identity, of the size and kind of square matrices."""
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
