"""Values that were rounded, and a few rows that repeat: spread over what the rounding leaves open.

Rounding to the multiples of h leaves open where a value lies in its cell, of width h. A value that is moved uniformly
within its cell has a density again, constant in each cell, and the divergence of two such densities is exactly that of
the rounded values.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from kullback.estimate.samples.reading import Samples

# Cells wider than this, in standard deviations, are classes; those of whole numbers are counts.
_WIDEST_CELL, _WIDEST_CELL_OF_WHOLE_NUMBERS = 0.5, 0.1

# At most this part of the rows may be in wider cells, or repeat without having been rounded.
_MOST_EXCEPTIONS = 0.02

# In so many parts of the numbers, of equally many pairs, the step is compared with the pairs.
_PARTS = 4

# The rounding of a float64 and of a float32 in which values were kept.
_FLOAT_ROUNDING = (2.0**-52, 2.0**-23)


def spread(both: Sequence[Samples], generator: torch.Generator) -> tuple[list[Samples], list[str]]:
    """The samples with rounded values and a few repeated rows spread, and what was done, in sentences.

    Nothing changes where no row is met twice in all samples and no coordinate has few values. The order of rows has no
    influence.
    """
    everything = torch.cat([samples.rows.detach() for samples in both])
    met_twice = len(torch.unique(everything, dim=0)) < len(everything)
    result, warnings = [], []
    for samples in both:
        if not met_twice and all(2 * len(torch.unique(column)) >= len(samples) for column in samples.rows.detach().T):
            result.append(samples)
            continue
        order = torch.from_numpy(np.lexsort(samples.rows.detach().numpy().T))
        rows = samples.rows.detach()[order]
        cells = {i: _cells(column) for i, column in enumerate(rows.T)}
        rounded = {i: cell for i, cell in cells.items() if cell is not None}
        moved = rows.clone()
        for i, cell in rounded.items():
            moved[:, i] += (torch.rand(len(rows), generator=generator, dtype=torch.float64) - 0.5) * cell
        if rounded:
            widths = sorted({f"{float(w):.3g}" for cell in rounded.values() for w in cell.unique() if w > 0}, key=float)
            to = " to ".join(widths if len(widths) == 1 else (widths[0], widths[-1]))
            warnings.append(
                f"coordinates {list(rounded)} of {samples.name} are rounded, to multiples of {to}: each value is moved "
                "at random within its rounding cell, and nothing finer than that is estimated"
            )
        moved, n_repeats = _apart(moved, generator)
        if n_repeats:
            warnings.append(
                f"{n_repeats} of the {len(rows)} rows of {samples.name} repeat others, which samples of a density do "
                "not: they are moved at random, at most half the way to the nearest other row"
            )
        shift = torch.zeros_like(moved)
        shift[order] = moved - rows
        result.append(replace(samples, rows=samples.rows + shift) if rounded or n_repeats else samples)
    return result, warnings


def _cells(column: Tensor) -> Tensor | None:
    """The width of the cell of each number in a column of rounded values; None if they were not, or are classes.

    They may have been rounded to multiples of one number, or to so many decimal or binary digits.
    """
    size = column.abs().clamp(min=torch.finfo(torch.float64).tiny)
    for group in (torch.zeros_like(column), size.log10().floor(), size.log2().floor()):
        width = _widths(column, group)
        if width is not None:
            whole = bool((column == column.round()).all())
            widest = (_WIDEST_CELL_OF_WHOLE_NUMBERS if whole else _WIDEST_CELL) * float(column.std())
            return width if float((width > widest).double().mean()) <= _MOST_EXCEPTIONS else None
    return None


def _widths(column: Tensor, group: Tensor) -> Tensor | None:
    """The step of the grid of each group of numbers; 0 in groups without; None if these hold many that repeat."""
    result, unexplained = torch.zeros_like(column), 0
    for one in torch.unique(group):
        members = group == one
        values, counts = torch.unique(column[members], return_counts=True)
        step = _grid(values, counts)
        if step is None:
            unexplained += int(counts.sum()) - len(values)
        else:
            result[members] = step
    return result if bool(result.any()) and unexplained <= _MOST_EXCEPTIONS * len(column) else None


def _grid(values: Tensor, counts: Tensor) -> float | None:
    """The step of a grid that numbers were rounded to; None if they were not.

    All lie on it; it is far above the rounding of floats; and as many numbers are one step apart as equal ones and a
    smooth density let expect.

    Args:
        values: the distinct numbers, in order.
        counts: how often each occurs.
    """
    relative = values - values[0]
    for rounding in _FLOAT_ROUNDING:
        tolerance = 4 * rounding * float(values.abs().max())
        gaps = relative.diff()
        gaps = gaps[gaps > 2 * tolerance]
        for part in (1, 2, 3, 4) if len(gaps) > 1 else ():
            step = float(relative[-1]) / round(float(relative[-1]) * part / float(gaps.min()))
            steps = (relative / step).round()
            off = float((relative - steps * step).abs().max())
            if tolerance < 0.01 * step and off <= tolerance:
                return step if _as_a_smooth_density(steps, counts.double()) else None
    return None


def _as_a_smooth_density(steps: Tensor, counts: Tensor) -> bool:
    """Whether everywhere more pairs are one step apart than equal, twice as many if all is smooth.

    Where they are not, numbers were rounded to fewer digits than the step has.
    """
    adjacent = steps.diff() == 1
    above, below = torch.zeros_like(counts), torch.zeros_like(counts)
    above[:-1], below[1:] = counts[1:] * adjacent, counts[:-1] * adjacent
    equal, one_apart = counts * (counts - 1) / 2, counts * torch.maximum(above, below)
    part = (equal.cumsum(0) / equal.sum().clamp(min=1.0) * _PARTS).long().clamp(max=_PARTS - 1)
    sums = torch.zeros(2, _PARTS, dtype=torch.float64).index_add_(1, part, torch.stack([equal, one_apart]))
    # An edge of the density, and four standard deviations, are allowed for.
    return bool((sums[1] >= sums[0] - 4 * sums[0].sqrt()).all())


def _apart(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
    """The rows with repeated ones moved within the cube that reaches half way to the nearest other, if they are few.

    Returns:
        The rows, and how many repeat others; 0 if they are many, and stay.
    """
    from scipy.spatial import cKDTree

    distinct, index, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    surplus = len(rows) - len(distinct)
    if not 0 < surplus <= _MOST_EXCEPTIONS * len(rows):
        return rows, 0
    scale = rows.std(0)
    repeated = counts > 1
    to_nearest, _ = cKDTree((distinct / scale).numpy()).query((distinct / scale)[repeated].numpy(), k=[2], p=np.inf)
    reach = torch.zeros(len(distinct), dtype=torch.float64)
    reach[repeated] = 0.5 * torch.from_numpy(to_nearest[:, 0])
    uniform = 2 * torch.rand(rows.shape, generator=generator, dtype=torch.float64) - 1
    return rows + uniform * reach[index][:, None] * scale, surplus
