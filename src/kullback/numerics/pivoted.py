"""The rank of a positive semidefinite matrix, by Cholesky factorization with complete pivoting."""

from typing import NamedTuple

import torch
from torch import Tensor


class Pivots(NamedTuple):
    """The pivots of a matrix, the largest first; its rank is the number of those that are not 0 but for rounding."""

    rank: int
    order: Tensor
    """Of all coordinates, the pivots first."""
    negative: int | None
    """A coordinate on which the matrix is not positive semidefinite; None if it is."""
    left: float
    """What is left of that coordinate's diagonal element, in units of it."""


def semidefinite_tolerance(d: int, eps: float) -> float:
    """The pivot of a d × d correlation matrix below which it is that of rounding errors.

    In proportion to d, as the errors of a factorization are; in few dimensions, for those of the elements.
    """
    return max(4 * d, 32) * eps


def pivoted_cholesky(matrix: Tensor, eps: float) -> Pivots:
    """The pivots of a symmetric float64 matrix on the CPU whose elements have the relative precision ``eps``.

    They are those of the correlations, so that a coordinate in small units counts like the others.

    Reference:
        N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 10.3: the factorization of semidefinite
        matrices, whose Schur complement is of the size of the tolerance.
    """
    from scipy.linalg import lapack

    d = len(matrix)
    variance = matrix.diagonal()
    size = torch.where(variance > 0, variance, 1.0).sqrt()
    correlations = matrix / size / size[:, None]
    tolerance = semidefinite_tolerance(d, eps)
    factor, order, rank, _ = lapack.dpstrf(correlations.numpy(), tol=tolerance, lower=1)
    pivots = torch.from_numpy(order.astype("int64") - 1)
    if rank == d:
        return Pivots(d, pivots, None, 0.0)
    columns = torch.from_numpy(factor).tril()[:, :rank]
    schur = correlations[pivots[rank:]][:, pivots[rank:]] - columns[rank:] @ columns[rank:].mT
    largest, place = schur.abs().amax(-1).max(-1)
    if largest <= _OF_REST * tolerance:
        return Pivots(int(rank), pivots, None, 0.0)
    return Pivots(int(rank), pivots, int(pivots[rank + int(place)]), float(schur[place, place]))


# An element that is left may be so many times the tolerance, below which all diagonal elements are.
_OF_REST = 4
