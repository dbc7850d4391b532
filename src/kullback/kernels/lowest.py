"""The lowest numbers of each row of a matrix that is never there as a whole: it comes in tiles of columns."""

import itertools
import struct
from collections.abc import Iterable

import torch
from torch import Tensor

from kullback.kernels import native_kernel
from kullback.numerics.screened import smallest

# The block of 64-bit integers that kullback.h declares.
_CALL = struct.Struct("=10q")


def lowest(tiles: Iterable[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The lowest numbers of each row over all tiles, ascending, and their columns; NaN counts as minus infinity.

    The lowest so far are kept, and of a tile only what is below the last of them is looked at.

    Args:
        tiles: the columns ``(n, m_1)``, ``(n, m_2)``, … from left to right, of which there are ``count`` at least. A
            tile is not used after the next one has been asked for, and it may be changed.
        count: how many are wanted.

    Returns:
        Numbers and columns, both ``(n, count)``.
    """
    tiles = iter(tiles)
    first = next(tiles)
    if first.is_cpu and first.dtype in native_kernel.DTYPES and native_kernel.unavailable_reason() is None:
        return _by_library(first, tiles, count)
    values, columns = _of_tile(first, count)
    start = first.shape[1]
    for tile in tiles:
        further, places = _of_tile(tile, count)
        values, order = torch.cat([values, further], 1).topk(min(count, start + tile.shape[1]), largest=False)
        columns = torch.cat([columns, places + start], 1).gather(1, order)
        start += tile.shape[1]
    return values, columns


def _of_tile(tile: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return smallest(tile.nan_to_num_(-torch.inf, torch.inf, -torch.inf), min(count, tile.shape[1]))


def _by_library(first: Tensor, tiles: Iterable[Tensor], count: int) -> tuple[Tensor, Tensor]:
    values = first.new_empty(len(first), count)
    columns = torch.empty(len(first), count, dtype=torch.int64)
    start = 0
    for tile in itertools.chain([first], tiles):
        _look_through(tile.contiguous(), start, values, columns)
        start += tile.shape[1]
    return values, columns


def _look_through(tile: Tensor, start: int, values: Tensor, columns: Tensor) -> None:
    n, width = tile.shape
    dtype, count = native_kernel.DTYPES[tile.dtype], values.shape[1]
    data = (start, width, count, tile.data_ptr(), width, values.data_ptr(), columns.data_ptr())
    native_kernel.by_rows("kullback_lowest", n, n * width, lambda first, last, _: _CALL.pack(dtype, first, last, *data))
