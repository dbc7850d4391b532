r"""The affine map that leaves the least mean divergence.

The divergence contains :math:`-\log |\det A|`, so that a map onto less volume never pays. The minimization runs in
coordinates in which points of p have the covariance I and those of q have a mean precision of 1.
"""

import torch
from torch import Tensor

from kullback.alignment.descent import minimize
from kullback.alignment.maps import Map
from kullback.alignment.objectives import Objective

_STEPS = 500

# What is added to the eigenvalues of a covariance, relative to their mean.
_RELATIVE_FLOOR = 1e-12


def fit_affine(objective: Objective, rigid: Map) -> Map:
    """The best affine map found, from the best rigid map and from the regression of means.

    Args:
        objective: what is minimized, but for the determinant.
        rigid: the best orthogonal map with a shift.
    """
    covariance, root = objective.scales()[0], objective.root_precisions
    # Coordinates in which the descent is well conditioned need no exact factor, but one of a positive definite matrix.
    floor = _RELATIVE_FLOOR * covariance.diagonal().mean()
    factor = torch.linalg.cholesky(covariance + floor * torch.ones_like(root).diag_embed())

    def original(y: Tensor) -> Tensor:
        x: Tensor = torch.linalg.solve_triangular(factor, y / root[:, None], upper=False, left=False)
        return x

    def scaled(matrix: Tensor) -> Tensor:
        x: Tensor = root[:, None] * (matrix @ factor)
        return x

    def function(y: Tensor, offset: Tensor) -> tuple[Tensor, list[Tensor]]:
        value, gradient, by_offset = objective.value_and_gradients(original(y), offset / root)
        inverse, info = torch.linalg.inv_ex(y)
        if info:
            return torch.full_like(value, torch.inf), [torch.zeros_like(y), torch.zeros_like(offset)]
        by_y = torch.linalg.solve_triangular(factor.mT, gradient / root[:, None], upper=True, left=False)
        return value - torch.linalg.slogdet(y)[1], [by_y - inverse.mT, by_offset / root]

    zero = torch.zeros_like(root)
    rigid_offset = rigid.shift + rigid.matrix @ objective.origin_p - objective.origin_q
    starts = [(scaled(rigid.matrix), rigid_offset * root)]
    # In these coordinates the slope at 0 is minus the correlation of weighted means: their regression.
    slope = objective.value_and_gradients(torch.zeros_like(factor), zero)[1]
    regression = -torch.linalg.solve_triangular(factor.mT, slope / root[:, None], upper=True, left=False)
    # A direction that the means do not determine would have next to no volume, and a descent from there hardly moves.
    u, s, vh = torch.linalg.svd(regression)
    starts.append((u @ s.clamp(min=1e-3 * float(s[0])).diag_embed() @ vh, zero))
    ends = [minimize(function, start, _STEPS) for start in starts]
    _, (y, offset) = min(ends, key=lambda end: end[0])
    matrix = original(y)
    return Map(matrix, offset / root + objective.origin_q - matrix @ objective.origin_p)
