r"""The orthogonal map that leaves the least mean divergence, with or without a shift.

Near an orthogonal matrix :math:`B` all others of its determinant are :math:`B (I - K)^{-1} (I + K)` for skew-symmetric
:math:`K` (Cayley), so that the minimization is one without constraints. There are local minima. Several starts, of both
determinants, are taken some steps, and the best of them to the end.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.alignment.descent import NO_PROGRESS, minimize
from kullback.alignment.maps import Map
from kullback.alignment.objectives import Objective

# Steps of every start, and of those that go on at most.
_FIRST_STEPS, _STEPS = 30, 300

# The change of a number that is no progress at the end.
_POLISHED = 1e-13

# The number of coordinates above which starts are few, and one of them goes on instead of two: steps are slow there.
_HIGH = 128

# Random starts of each determinant: of low dimensions many, where they are cheap and the others may all be bad.
_RANDOM = {4: 16, 16: 4, _HIGH: 2}


def fit_orthogonal(objective: Objective, known: Sequence[Map], *, shift: bool, seed: int) -> Map:
    """The best orthogonal map found.

    Args:
        objective: what is minimized.
        known: maps to start from; the first is a signed permutation.
        shift: whether a shift is fitted too.
        seed: of the random starts.
    """
    starts = _starts(objective, [g.matrix for g in known], seed, shift=shift)
    tried = sorted((_descend(objective, start, _FIRST_STEPS, shift=shift) for start in starts), key=lambda t: t[0])
    finalists = tried[: 1 if objective.dimensions > _HIGH else 2]
    ends = [_descend(objective, matrix, _STEPS, offset, shift=shift) for _, matrix, offset in finalists]
    _, matrix, offset = min(ends, key=lambda t: t[0])
    # Where posteriors are narrow, steps that matter are tiny.
    _, matrix, offset = _descend(objective, matrix, _FIRST_STEPS, offset, shift=shift, no_progress=_POLISHED)
    # Rounding of many products is removed: the nearest orthogonal matrix.
    u, _, vh = torch.linalg.svd(matrix)
    matrix = u @ vh
    if not shift:
        return Map.linear(matrix)
    return Map(matrix, offset + objective.origin_q - matrix @ objective.origin_p)


def _starts(objective: Objective, known: list[Tensor], seed: int, *, shift: bool) -> list[Tensor]:
    """Orthogonal matrices of both determinants."""
    d, permutation = objective.dimensions, known[0]
    slope = torch.zeros_like(permutation)
    # Of orthogonal Procrustes: the matrix that fits the means best, if each coordinate of q has one precision.
    _, gradient, _ = objective.value_and_gradients(slope, torch.zeros_like(slope[0]))
    slope = gradient if shift else objective.linear(slope)[1]
    u, _, vh = torch.linalg.svd(-slope)
    procrustes = u @ vh
    # The same with the other determinant: the direction that matters least is turned over.
    other = u @ torch.cat([vh[:-1], -vh[-1:]])
    flipped = permutation.clone()
    flipped[(slope * permutation).sum(1).abs().argmin()] *= -1
    generator = torch.Generator().manual_seed(seed)
    random = []
    for _ in range(next((n for size, n in _RANDOM.items() if d <= size), 0)):
        matrix = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator, device="cpu"))[0]
        random += [matrix, torch.cat([matrix[:-1], -matrix[-1:]])]
    return [procrustes, other, *known, flipped, *random]


def _descend(
    objective: Objective,
    base: Tensor,
    steps: int,
    offset: Tensor | None = None,
    *,
    shift: bool,
    no_progress: float = NO_PROGRESS,
) -> tuple[float, Tensor, Tensor]:
    """The value, the orthogonal matrix and the offset where a descent from ``base`` ends."""
    eye = torch.eye(len(base), dtype=torch.float64, device="cpu")

    def turn(x: Tensor) -> tuple[Tensor, Tensor]:
        skew = x - x.mT
        return torch.linalg.solve(eye - skew, eye + skew), skew

    def pulled_back(gradient: Tensor, cayley: Tensor, skew: Tensor) -> Tensor:
        by_skew: Tensor = torch.linalg.solve(eye + skew, base.mT @ gradient @ (eye + cayley).mT)
        return by_skew - by_skew.mT

    def without_shift(x: Tensor) -> tuple[Tensor, list[Tensor]]:
        cayley, skew = turn(x)
        value, gradient = objective.linear(base @ cayley)
        return value, [pulled_back(gradient, cayley, skew)]

    start = [torch.zeros_like(base)]
    if not shift:
        value, (x,) = minimize(without_shift, start, steps, no_progress=no_progress)
        return value, base @ turn(x)[0], torch.zeros_like(base[0])
    root = objective.root_precisions

    def with_shift(x: Tensor, scaled: Tensor) -> tuple[Tensor, list[Tensor]]:
        cayley, skew = turn(x)
        value, gradient, by_offset = objective.value_and_gradients(base @ cayley, scaled / root)
        return value, [pulled_back(gradient, cayley, skew), by_offset / root]

    start.append(torch.zeros_like(root) if offset is None else offset * root)
    value, (x, scaled) = minimize(with_shift, start, steps, no_progress=no_progress)
    return value, base @ turn(x)[0], scaled / root
