"""Columns that are stored in chunks, of which each is read from its first row on."""

import abc
import bisect
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from kullback.io.stored import Stored

# How many bytes a piece of a chunk has at least: many small ones would take the time, of rows that are skipped, too.
LEAST_BYTES = 2**20

if TYPE_CHECKING:
    from kullback.io.stored import Column


class Chunked(Stored):
    """A column in chunks: the row groups of a Parquet file, the record batches of an Arrow file."""

    @property
    @abc.abstractmethod
    def starts(self) -> Sequence[int]:
        """The first row of each chunk, and the number of rows."""

    @abc.abstractmethod
    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from the first of a chunk on to the end, in pieces of any sizes, best of about ``size``."""

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        rows = self.starts[-1]
        return (rows, *next(self.batches(0, 1, 1)).shape[1:]) if rows else (0,)

    def __len__(self) -> int:
        return self.starts[-1]

    @property
    def breaks(self) -> Sequence[int]:
        """The first row of each chunk that has rows."""
        return tuple(a for a, b in itertools.pairwise(self.starts) if b > a) or (0,)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        if stop <= start:
            return
        chunk = self.chunk_of(start)
        yield from rebatched(self.pieces(chunk, size), start - self.starts[chunk], stop - start, size)

    def chunk_of(self, row: int) -> int:
        """The chunk in which a row is."""
        return bisect.bisect_right(self.starts, row) - 1

    def __call__(self) -> "Column":
        """The whole column."""
        import numpy as np

        return next(self.batches(0, len(self), len(self))) if len(self) else np.empty(0)


def rebatched(pieces: "Iterator[Column]", skip: int, rows: int, size: int) -> "Iterator[Column]":
    """So many rows, after some that are skipped, in batches of ``size``, of which only the last may be shorter.

    A batch is copied only if it spans several pieces.

    Raises:
        EOFError: if the pieces have fewer rows.
        ValueError: if the rows of a batch differ in shape.
    """
    waiting: list[Column] = []
    held = 0
    for piece in pieces:
        first = min(skip, len(piece))
        skip -= first
        while rows and first < len(piece):
            part = piece[first : first + min(size - held, rows)]
            first, held, rows = first + len(part), held + len(part), rows - len(part)
            waiting.append(part)
            if held == size or not rows:
                yield joined(waiting)
                waiting, held = [], 0
        if not rows:
            return
    if rows:
        raise EOFError(f"it ends {rows:,} rows early")


def joined(parts: "list[Column]") -> "Column":
    """Rows of several arrays of one library as one array."""
    if len(parts) == 1:
        return parts[0]
    import numpy as np

    if isinstance(parts[0], np.ndarray):
        return np.concatenate(cast("list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]", parts))
    import torch

    return torch.cat(cast("list[torch.Tensor]", parts))
