"""The lowest numbers of each row of a matrix that is never there as a whole.

It comes in tiles of columns, or is that of the inner products of vectors.
"""

import itertools
import struct
from collections.abc import Iterable

import torch
from torch import Tensor

from kullback.kernels import native_kernel
from kullback.numerics.screened import smallest

# The blocks of 64-bit integers that kullback.h declares, and its sizes.
_CALL, _PRODUCTS_CALL = struct.Struct("=10q"), struct.Struct("=11q")
_PANEL, _STRIPS = 32, 64 * 1024

# Vectors in one tile of products with so many rows, which stays in a cache, where the library is not used.
_COLUMNS = 1024


class Products:
    """Vectors whose inner products with others are looked through.

    The library forms the products where it has instructions for it, and looks at them before they leave the nearest
    cache; elsewhere they are formed by torch, tile by tile.

    Args:
        right: the vectors ``(m, terms)``, m positive.
    """

    def __init__(self, right: Tensor) -> None:
        self._right, self._panels = right, None
        if right.is_cpu and native_kernel.instructions() in ("avx2", "avx512") and right.dtype in native_kernel.DTYPES:
            m, terms = right.shape
            padded = torch.cat([right, right.new_zeros(-m % _PANEL, terms)])
            self._panels = padded.view(-1, _PANEL, terms).mT.contiguous()

    def lowest(self, left: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The lowest products of each vector, ``(n, terms)``, ascending, and which they are: ``(n, count)``. NaN counts
        as minus infinity.
        """
        if self._panels is None:
            return lowest((left @ right.mT for right in self._right.split(_COLUMNS)), count)
        left = left.contiguous()
        n, (m, terms), dtype = len(left), self._right.shape, native_kernel.DTYPES[left.dtype]
        values = left.new_empty(n, count)
        columns = torch.empty(n, count, dtype=torch.int64)
        work = n * m * terms
        workspace = torch.empty(native_kernel.calls_of(n, work), _STRIPS, dtype=torch.uint8)
        sizes = terms, m, count
        data = left.data_ptr(), self._panels.data_ptr(), values.data_ptr(), columns.data_ptr()
        native_kernel.by_rows(
            "kullback_products",
            n,
            work,
            lambda first, last, call: _PRODUCTS_CALL.pack(
                dtype, first, last, *sizes, *data, workspace[call].data_ptr()
            ),
        )
        return values, columns


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
