r"""The smallest difference :math:`A - B Q` of two factors over the orthogonal Q, also where they are nearly equal.

The subtraction cancels there. The difference is then found from a smaller one, which the caller has or which A and B
have: that of the covariances, or :math:`A - B`.
"""

import torch
from torch import Tensor

from kullback.numerics.gradients import with_value
from kullback.numerics.linear_algebra import finite_or_zero, identity_like, whitened
from kullback.numerics.procrustes import Rotation
from kullback.numerics.rows import replaced

# Relative differences up to this are taken by steps, each of which gains a factor of about their inverse.
_NEAR, _STEPS = 1e-2, 8
_NEAR_FACTORS, _STEPS_OF_FACTORS = 1e-1, 16


def difference(a: Tensor, b: Tensor, covariances: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""A − B Q, and what the turn of Q adds to the derivatives of the square; its value is zero.

    ``covariances`` is :math:`A A^\top - B B^\top` for triangular A and B. Without it, A and B are any factors of one
    shape; if they are near each other by a turn, and not as they are, the error is that of their rounding.
    """
    rotation = Rotation.of(b.mT @ a)
    turned = b @ rotation.matrix()
    plain = a - turned
    value, size = plain.detach(), torch.linalg.matrix_norm(b.detach())
    if covariances is None:
        change = (a - b).detach()
        perhaps_near = torch.linalg.matrix_norm(change) <= _NEAR_FACTORS * size
        value = replaced(value, perhaps_near, _from_factors, value, change, b.detach())
    else:
        # As close as they can be, they are no farther apart than (I + E)^½ Bᵀ and Bᵀ, for A Aᵀ − B Bᵀ = B E Bᵀ.
        perhaps_near = torch.linalg.matrix_norm(value) <= _NEAR * size
        matrices = value, covariances.detach(), turned.detach()
        value = replaced(value, perhaps_near, _from_covariances, *matrices)
    matrix = with_value(plain, value)
    return matrix, rotation.turn(b.mT @ matrix)


def _from_covariances(plain: Tensor, change: Tensor, b: Tensor) -> Tensor:
    r"""X B for the symmetric X with :math:`X \Sigma + \Sigma X + X \Sigma X` the change of
    :math:`\Sigma = B B^\top`, by fixed-point steps in the eigenbasis of that; ``plain`` where it is not small.
    """
    near = torch.linalg.matrix_norm(whitened(change, b)) < _NEAR
    weights, basis = torch.linalg.eigh(finite_or_zero(b @ b.mT))
    rotated = torch.where(near[..., None, None], basis.mT @ change @ basis, 0.0)
    sums = weights.unsqueeze(-1) + weights.unsqueeze(-2)
    sums = torch.where(sums > 0, sums, 1.0)
    x = rotated / sums
    for _ in range(_STEPS):
        x = (rotated - (x * weights.unsqueeze(-2)) @ x) / sums
    return torch.where(near[..., None, None], basis @ x @ basis.mT @ b, plain)


def _from_factors(plain: Tensor, change: Tensor, b: Tensor) -> Tensor:
    r"""A − B Q by Newton's method for Q − I, from A − B; ``plain`` where that is not small in every direction of B.

    At the solution :math:`Y^\top M` is symmetric, for :math:`Y = B Q` and :math:`M = A - Y`. A step S is skew with
    :math:`G S + S G = Y^\top M - M^\top Y`, :math:`G = Y^\top Y`, and turns Q by its Cayley transform.
    """
    weights, basis = torch.linalg.eigh(finite_or_zero(b.mT @ b))
    there = weights > b.shape[-1] * torch.finfo(b.dtype).eps * weights[..., -1:]
    roots = torch.where(there, weights, 1.0).sqrt().unsqueeze(-2)
    relative = torch.where(there.unsqueeze(-2), change @ basis / roots, 0.0)
    near = (torch.linalg.matrix_norm(relative) < _NEAR_FACTORS)[..., None, None]
    # A turn among the directions that B does not have changes nothing.
    either = there.unsqueeze(-1) | there.unsqueeze(-2)
    sums = torch.where(either, weights.unsqueeze(-1) + weights.unsqueeze(-2), torch.inf)
    change = torch.where(near, change, 0.0)
    eye = identity_like(sums)
    turn, matrix = torch.zeros_like(sums), change
    for _ in range(_STEPS_OF_FACTORS):
        q = eye + turn
        skew, frame = (b @ q).mT @ matrix, q.mT @ basis
        step = frame @ (frame.mT @ (skew - skew.mT) @ frame / sums) @ frame.mT
        turn = turn + q @ torch.linalg.solve(eye - 0.5 * step, step)
        matrix = change - b @ turn
    return torch.where(near, matrix, plain)
