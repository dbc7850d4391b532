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

from kullback.estimate.samples.reading import HALF, Samples

# Cells wider than this, in standard deviations, are classes; those of whole numbers are counts.
_WIDEST_CELL, _WIDEST_CELL_OF_WHOLE_NUMBERS = 0.5, 0.1

# Of rows that repeat without having been rounded, at most this part is spread.
_MOST_REPEATS = 0.02

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
        order = torch.from_numpy(np.lexsort(samples.rows.detach().numpy().T))
        rows = samples.rows.detach()[order]
        looked_at = met_twice or any(2 * len(torch.unique(column)) < len(rows) for column in rows.T)
        cells = {i: _cells(column, samples.values.dtype) for i, column in enumerate(rows.T if looked_at else ())}
        rounded = {i: cell for i, cell in cells.items() if cell is not None}
        moved = rows.clone()
        for i, cell in rounded.items():
            moved[:, i] += (torch.rand(len(rows), generator=generator, dtype=torch.float64) - 0.5) * cell
        if rounded:
            widths = sorted({f"{float(cell.max()):.3g}" for cell in rounded.values()}, key=float)
            to = " to ".join(widths if len(widths) == 1 else (widths[0], widths[-1]))
            warnings.append(
                f"coordinates {list(rounded)} of {samples.name} are rounded, to multiples of {to}: each value is moved at "
                "random within its rounding cell, and nothing finer than that is estimated"
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


def _cells(column: Tensor, dtype: torch.dtype) -> Tensor | None:
    """The width of the cell of each number in a column of rounded values; None if they were not, or are classes.

    Args:
        column: ``(n,)``.
        dtype: in which the values were given.
    """
    values = torch.unique(column)
    step = _grid(values)
    if step is not None:
        width = torch.full_like(column, step)
    elif dtype in HALF:
        width = torch.ldexp(torch.full_like(column, torch.finfo(dtype).eps), torch.frexp(column).exponent - 1)
    else:
        return None
    whole = bool((values == values.round()).all())
    widest = (_WIDEST_CELL_OF_WHOLE_NUMBERS if whole else _WIDEST_CELL) * float(column.std())
    return width if float(width.max()) <= widest else None


def _grid(values: Tensor) -> float | None:
    """The step of a grid that all values lie on, if it is far above the rounding of floats; ``values`` are sorted."""
    if len(values) < 3:
        return None
    relative = values - values[0]
    for rounding in _FLOAT_ROUNDING:
        tolerance = 4 * rounding * float(values.abs().max())
        gaps = relative.diff()
        gaps = gaps[gaps > 2 * tolerance]
        for part in (1, 2, 3, 4) if len(gaps) else ():
            rough = float(gaps.min()) / part
            step = float(relative[-1]) / round(float(relative[-1]) / rough)
            off = (relative - (relative / step).round() * step).abs().max()
            if tolerance < 0.01 * step and float(off) <= tolerance:
                return step
    return None


def _apart(rows: Tensor, generator: torch.Generator) -> tuple[Tensor, int]:
    """The rows with repeated ones moved within the cube that reaches half way to the nearest other, if they are few.

    Returns:
        The rows, and how many repeat others; 0 if they are many, and stay.
    """
    from scipy.spatial import cKDTree

    distinct, index, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    surplus = len(rows) - len(distinct)
    if not 0 < surplus <= _MOST_REPEATS * len(rows):
        return rows, 0
    scale = rows.std(0)
    repeated = counts > 1
    to_nearest, _ = cKDTree((distinct / scale).numpy()).query((distinct / scale)[repeated].numpy(), k=[2], p=np.inf)
    reach = torch.zeros(len(distinct), dtype=torch.float64)
    reach[repeated] = 0.5 * torch.from_numpy(to_nearest[:, 0])
    uniform = 2 * torch.rand(rows.shape, generator=generator, dtype=torch.float64) - 1
    return rows + uniform * reach[index][:, None] * scale, surplus
