"""Distances to the nearest points, exactly."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.all_pairs.nearest import smallest
from kullback.estimate.samples.result import Step

# A tree answers faster than products up to so many coordinates.
TREE = 8

# Points and references of one tile; candidates beyond those asked for; numbers that are computed on at once.
_POINTS, _REFERENCES, _SPARE, _NUMBERS = 512, 32_768, 8, 2**23


def nearest_distances(
    points: Tensor, references: Tensor, ks: Sequence[int], *, own: bool, step: Step | None = None
) -> Tensor:
    """The distance of each point to its k-th nearest reference, for each k: ``(n, len(ks))``.

    With ``own`` each point is one of the references and is not counted. By a tree in few coordinates; in more by
    float32 products, whose candidates are measured again in float64; all of a point's where rounding leaves a doubt.
    """
    count = max(ks) + own
    if points.shape[1] <= TREE:
        found = _by_tree(points, references, count)
    else:
        found = _by_products(points, references, count)
    if step:
        step()
    return found[:, [k - 1 + own for k in ks]]


def _by_tree(points: Tensor, references: Tensor, count: int) -> Tensor:
    from scipy.spatial import cKDTree

    tree = cKDTree(references.numpy())
    found = tree.query(points.numpy(), k=range(1, count + 1), workers=torch.get_num_threads())[0]
    return torch.from_numpy(found)


def _by_products(points: Tensor, references: Tensor, count: int) -> Tensor:
    d = points.shape[1]
    centre = references.mean(0)
    right = references - centre
    squares = right.square().sum(1)
    rough, rough_squares = right.float(), squares.float()
    kept = min(count + _SPARE, len(references))
    # What a float32 product of d terms, and the rounding of what goes into it, may be off by, for sizes of 1.
    unit = (d + 4) * torch.finfo(torch.float32).eps
    largest = math.sqrt(float(squares.amax()))
    found = []
    for some in points.split(_POINTS):
        left = some - centre
        values, where = [], []
        for start in range(0, len(rough), _REFERENCES):
            tile = slice(start, start + _REFERENCES)
            scores = torch.addmm(rough_squares[tile], left.float(), rough[tile].mT, alpha=-2.0)
            best, index = smallest(scores, min(kept, scores.shape[1]))
            values.append(best)
            where.append(index + start)
        value, order = torch.cat(values, 1).topk(kept, largest=False)
        exact = _measured(left, right[torch.cat(where, 1).gather(1, order)]).topk(count, largest=False).values
        if kept < len(references):
            # Nothing that was not kept scored less than the last that was.
            size = left.square().sum(1)
            beyond = value[:, -1].double() + size - unit * (size.sqrt() + largest).square()
            for row in (
                (~(beyond > exact[:, -1].square())).nonzero()[:, 0].split(max(1, _NUMBERS // references.numel()))
            ):
                exact[row] = _measured(left[row], right).topk(count, largest=False).values
        found.append(exact)
    return torch.cat(found)


def _measured(left: Tensor, right: Tensor) -> Tensor:
    """Distances by differences, ``(n, m)``, of points ``(n, d)`` and ``(n, m, d)`` or ``(m, d)``."""
    distances: Tensor = torch.linalg.vector_norm(left[:, None] - right, dim=-1)
    return distances
