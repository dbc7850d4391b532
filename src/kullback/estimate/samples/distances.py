"""Exact distances to the nearest points."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from kullback.estimate.samples.result import Step
from kullback.kernels.lowest import lowest
from kullback.numerics.screened import nearest_by_scores

# Up to this many coordinates a tree is faster than matrix products.
MAX_TREE_COORDINATES = 8

# Points and references in one tile of scores.
_ROWS, _COLUMNS = 512, 1024

# Candidates of a point beyond those asked for, so that rounding of the scores rarely hides a true neighbour.
_SPARE = 8

# Elements of the differences between points and all references that are computed at once.
_DIFFERENCE_ELEMENTS = 2**23


def nearest_distances(
    points: Tensor, references: Tensor, ks: Sequence[int], *, own: bool, step: Step | None = None
) -> Tensor:
    """The distance of each point to its k-th nearest reference, for each k.

    In few coordinates a k-d tree is searched. In more, matrix products in float32 find candidates, whose distances are
    computed in float64; where rounding leaves a doubt, the distances to all references are.

    Args:
        points: ``(n, d)``, float64.
        references: ``(m, d)``, float64.
        ks: which neighbours, each from 1 to m, or to m - 1 if ``own``.
        own: whether the points are among the references; then a point is not its own neighbour.
        step: called when the search is done.

    Returns:
        The distances, ``(n, len(ks))``.
    """
    count = max(ks) + own
    if points.shape[1] <= MAX_TREE_COORDINATES:
        distances = _by_tree(points, references, count)
    else:
        distances = _by_products(points, references, count)
    if step:
        step()
    return distances[:, [k - 1 + own for k in ks]]


def _by_tree(points: Tensor, references: Tensor, count: int) -> Tensor:
    from scipy.spatial import cKDTree

    tree = cKDTree(references.numpy())
    distances, _ = tree.query(points.numpy(), k=range(1, count + 1), workers=torch.get_num_threads())
    return torch.from_numpy(distances)


def _by_products(points: Tensor, references: Tensor, count: int) -> Tensor:
    """The distances to the ``count`` nearest references by the scores of matrix products.

    The score of a reference y for a point x, both relative to the mean of the references, is
    ``|y|^2 - 2 <x, y> = |x - y|^2 - |x|^2``.
    """
    centre = references.mean(0)
    right = references - centre
    squares = right.square().sum(1)
    rough_right, rough_squares = right.float(), squares.float()
    # The rounding error of a score is at most this times (|x| + |y|)^2: of a float32 product of d terms, and of the
    # numbers that enter it.
    unit = (points.shape[1] + 4) * torch.finfo(torch.float32).eps
    largest_norm = math.sqrt(float(squares.amax()))
    parts = []
    for chunk in points.split(_ROWS):
        left = chunk - centre
        parts.append(_nearest_of_rows(left, right, rough_right, rough_squares, unit, largest_norm, count))
    return torch.cat(parts)


def _nearest_of_rows(
    left: Tensor,
    right: Tensor,
    rough_right: Tensor,
    rough_squares: Tensor,
    unit: float,
    largest_norm: float,
    count: int,
) -> Tensor:
    def settled(last_score: Tensor, kth: Tensor) -> Tensor:
        """Whether a reference of at least this score is farther than the k-th, whatever the rounding errors."""
        square = left.square().sum(1)
        return last_score.double() + square - unit * (square.sqrt() + largest_norm).square() > kth.square()

    distances, _ = nearest_by_scores(
        *lowest(_score_tiles(left.float(), rough_right, rough_squares), min(count + _SPARE, len(right))),
        count,
        len(right),
        exact=lambda candidates: _distances(left, right[candidates]),
        settled=settled,
        whole_rows=lambda rows: _distances(left[rows], right),
        rows_at_once=max(1, _DIFFERENCE_ELEMENTS // right.numel()),
    )
    return distances


def _score_tiles(left: Tensor, right: Tensor, squares: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(right), _COLUMNS):
        tile = slice(start, start + _COLUMNS)
        yield torch.addmm(squares[tile], left, right[tile].mT, alpha=-2.0)


def _distances(left: Tensor, right: Tensor) -> Tensor:
    """Distances ``(n, m)`` of points ``(n, d)`` from ``(n, m, d)`` or ``(m, d)``, by differences."""
    distances: Tensor = torch.linalg.vector_norm(left[:, None] - right, dim=-1)
    return distances
