"""Screening: fast, inaccurate scores for everything, exact values only where the scores leave a doubt.

One matrix product scores all pairs of two sets of points, but it cancels. The caller knows how large its rounding error
can be. Whatever that bound does not settle is computed again by an exact, slower function, so that a result never
depends on the accuracy of the scores:

- :func:`recompute` replaces the uncertain entries of a matrix;
- :func:`nearest_by_scores` finds the columns with the smallest exact values of each row.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# Columns per block when the smallest entries of a long row are searched.
_BLOCK = 64

# A row is computed as a whole if more than one in this many of its entries is uncertain.
_GATHERED_FRACTION = 16


def recompute(
    values: Tensor,
    uncertain: Tensor,
    whole_rows: Callable[[Tensor], Tensor],
    entries: Callable[[Tensor, Tensor], Tensor],
    *,
    rows_at_once: int,
    entries_at_once: int,
) -> None:
    """Replace the uncertain entries of a matrix, in place.

    A row with many uncertain entries is computed as a whole, which reads memory in order; the remaining entries are
    gathered.

    Args:
        values: the matrix ``(n, m)`` that is changed.
        uncertain: which entries to replace, bool ``(n, m)``.
        whole_rows: returns the exact values ``(r, m)`` of the rows with these indices ``(r,)``.
        entries: returns the exact values ``(r,)`` of the entries with these row and column indices.
        rows_at_once: how many rows ``whole_rows`` is called with at most; 1 or more.
        entries_at_once: how many entries ``entries`` is called with at most; 1 or more.
    """
    whole = uncertain.sum(-1) > values.shape[1] // _GATHERED_FRACTION
    for rows in _chunks(whole.nonzero()[:, 0], rows_at_once):
        values[rows] = whole_rows(rows)
    row, column = (uncertain & ~whole[:, None]).nonzero(as_tuple=True)
    for i, j in zip(_chunks(row, entries_at_once), _chunks(column, entries_at_once), strict=True):
        values[i, j] = entries(i, j)


def nearest_by_scores(
    scores: Tensor,
    candidates: Tensor,
    k: int,
    n_columns: int,
    exact: Callable[[Tensor], Tensor],
    settled: Callable[[Tensor, Tensor], Tensor],
    whole_rows: Callable[[Tensor], Tensor],
    *,
    rows_at_once: int,
) -> tuple[Tensor, Tensor]:
    """The k smallest exact values of each row, ascending, and their columns.

    The columns with the lowest scores are candidates, whose exact values are computed. A column that is no candidate
    scores at least as much as the last candidate does. Where this does not settle that its exact value is above the
    k-th smallest one, the whole row is computed.

    Args:
        scores: the lowest scores of each row, ascending, ``(n, c)``: at least k, and more, lest rounding hide a true
            neighbour.
        candidates: their columns, ``(n, c)``.
        k: how many columns, from 1 to ``n_columns``.
        n_columns: the number of columns that were scored.
        exact: returns the exact values of the candidates with these column indices ``(n, c)``.
        settled: returns for each row, bool ``(n,)``, whether the exact value of every column that is no candidate is
            certainly above the k-th smallest one, from the score of the last candidate ``(n,)`` and that value
            ``(n,)``; False where it is NaN.
        whole_rows: returns the exact values ``(r, n_columns)`` of the rows with these indices ``(r,)``.
        rows_at_once: how many rows ``whole_rows`` is called with at most; 1 or more.

    Returns:
        The values and the column indices, both ``(n, k)``.
    """
    values, order = exact(candidates).topk(k, largest=False)
    columns = candidates.gather(1, order)
    if candidates.shape[1] < n_columns:
        unsettled = ~settled(scores[:, -1], values[:, -1])
        for rows in _chunks(unsettled.nonzero()[:, 0], rows_at_once):
            values[rows], columns[rows] = smallest(whole_rows(rows), k)
    return values, columns


def smallest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest entries of each row, ascending, and their columns.

    Each of them lies in one of the k blocks of columns with the smallest minima, so that only these are sorted.
    """
    n, m = x.shape
    n_blocks = m // _BLOCK
    if n_blocks < 4 * k:
        values, columns = x.topk(k, largest=False)
        return values, columns
    blocks = x[:, : n_blocks * _BLOCK].view(n, n_blocks, _BLOCK)
    chosen = blocks.amin(-1).topk(k, largest=False, sorted=False).indices
    inside = blocks.gather(1, chosen[..., None].expand(n, k, _BLOCK)).flatten(1)
    inside_columns = (chosen[..., None] * _BLOCK + torch.arange(_BLOCK, device=x.device)).flatten(1)
    rest_columns = torch.arange(n_blocks * _BLOCK, m, device=x.device).expand(n, -1)
    values, order = torch.cat([inside, x[:, n_blocks * _BLOCK :]], 1).topk(k, largest=False)
    return values, torch.cat([inside_columns, rest_columns], 1).gather(1, order)


def _chunks(indices: Tensor, size: int) -> tuple[Tensor, ...]:
    """The indices in chunks of at most ``size``; none if there are no indices."""
    return indices.split(size) if len(indices) else ()
