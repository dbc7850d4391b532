r"""The orthogonal Procrustes problem: the orthogonal Q for which :math:`\|A - B Q\|_F` is smallest.

Q is the polar factor of :math:`C = B^\top A`, and the square at Q is :math:`\|A\|_F^2 + \|B\|_F^2 - 2 \|C\|_*`, with
the nuclear norm of C. Decompositions carry no derivatives. At Q, where the square is smallest, its first derivatives
are those for constant Q; what the turn of Q adds to the second is written down from the singular vectors of C.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.numerics.elementary import power_of_two
from kullback.numerics.linear_algebra import finite_or_zero

# A sum of squares, a product, eigenvalues or singular values are those of matrices that differ by at most this many
# units in the last place of their Frobenius norms.
_BACKWARD_ERROR = 2


@dataclass(frozen=True, eq=False)
class Rotation:
    """Q for C, by a singular value decomposition."""

    cross: Tensor
    left: Tensor
    values: Tensor
    right: Tensor

    @classmethod
    def of(cls, cross: Tensor) -> "Rotation":
        """The polar factor of C."""
        return cls(cross, *torch.linalg.svd(finite_or_zero(cross.detach())))

    def matrix(self) -> Tensor:
        """Q, a constant."""
        return self.left @ self.right

    def turn(self, residual: Tensor) -> Tensor:
        r"""What the turn of Q adds to the derivatives of the square; its value is zero.

        ``residual`` is :math:`B^\top (A - B Q)`, symmetric after a turn by Q, but for the rounding errors of Q. What is
        left of them is all that the first derivatives of the turn are.
        """
        change = self.left.mT @ (self.cross - self.cross.detach() + residual.detach()) @ self.right.mT
        sums = self.values.unsqueeze(-1) + self.values.unsqueeze(-2)
        squares = (change - change.mT).square() / torch.where(sums > 0, sums, 1.0)
        added = -0.5 * squares.sum((-2, -1))
        return added - added.detach()


def square_by_norms(a: Tensor, b: Tensor, ulps: float) -> tuple[Tensor, Tensor]:
    r"""The square from the three norms, and whether its rounding error is less than ``ulps`` units in the last place.

    The nuclear norm is the trace of :math:`(C C^\top)^{1/2}`, by eigenvalues, where their error allows, and the sum of
    the singular values of C elsewhere. Without derivatives; values are read, so only for concrete tensors.
    """
    cross = finite_or_zero(b.mT @ a)
    unit = power_of_two(cross.abs().amax((-2, -1)))
    cross = cross / unit[..., None, None]
    wide = cross if cross.shape[-2] <= cross.shape[-1] else cross.mT
    eigenvalues = torch.linalg.eigvalsh(wide @ wide.mT)
    roots = eigenvalues.clamp(min=0.0).sqrt()
    squares = a.square().sum((-2, -1)) + b.square().sum((-2, -1))
    square = squares - 2.0 * unit * roots.sum(-1)
    # The nuclear norm changes by ⟨Q, δC⟩, the trace of the root by half of ⟨(C Cᵀ)^-½, δ(C Cᵀ)⟩.
    eps = torch.finfo(cross.dtype).eps
    norm = unit * torch.linalg.matrix_norm(cross)
    singular_error = _BACKWARD_ERROR * eps * (squares + 2.0 * wide.shape[-2] ** 0.5 * norm)
    lengths = torch.linalg.vector_norm(eigenvalues, dim=-1) * torch.linalg.vector_norm(1.0 / roots, dim=-1)
    eigenvalue_error = _BACKWARD_ERROR * eps * unit * lengths + singular_error
    by_singular = (singular_error < ulps * eps * square) & ~(eigenvalue_error < ulps * eps * square)
    if by_singular.any():
        nuclear = torch.linalg.svdvals(cross[by_singular]).sum(-1)
        square[by_singular] = squares[by_singular] - 2.0 * unit[by_singular] * nuclear
    return square, singular_error < ulps * eps * square
