"""The signed permutation of coordinates that leaves the least mean divergence."""

import torch
from torch import Tensor

from kullback.alignment.maps import Map
from kullback.alignment.objectives import Objective

# For q's that correlate coordinates, the greatest number of improvements of the assignment.
_IMPROVEMENTS = 100


def fit_permutation(objective: Objective) -> Map:
    """The best signed permutation.

    For diagonal q the mean divergence is a sum over coordinates of q, and the linear assignment with the better sign of
    each pair of coordinates is exact. For others it is where improvements of that, each the assignment for the
    linearized objective, end.
    """
    start = torch.zeros(2 * (objective.dimensions,), dtype=torch.float64, device="cpu")
    half = 0.5 * objective.curvatures()
    slope = objective.linear(start)[1]
    best = _assignment(half, slope)
    value, slope = objective.linear(best)
    for _ in range(_IMPROVEMENTS):
        other = _assignment(torch.zeros_like(half), slope)
        other_value, other_slope = objective.linear(other)
        if not other_value < value:
            break
        best, value, slope = other, other_value, other_slope
    return Map.linear(best)


def _assignment(cost: Tensor, slope: Tensor) -> Tensor:
    """The signed permutation that minimizes the sum of ``cost`` plus sign times ``slope`` over its entries."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment((cost - slope.abs()).numpy())
    signs = torch.where(slope > 0, -1.0, 1.0).to(torch.float64)
    matrix = torch.zeros_like(slope)
    rows, columns = torch.from_numpy(rows), torch.from_numpy(columns)
    matrix[rows, columns] = signs[rows, columns]
    return matrix
