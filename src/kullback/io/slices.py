"""Columns whose rows lie one after the other: any of them are read by a slice."""

import abc
import functools
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import EllipsisType
from typing import IO, TYPE_CHECKING, Any

from kullback.io.chunks import rebatched
from kullback.io.stored import Stored

if TYPE_CHECKING:
    import numpy as np

    from kullback.io.places import Place
    from kullback.io.stored import Column


# How many bytes are read without a question whether there is room for them.
_LARGE = 2**27


class Sliced(Stored):
    """A column of something that has a shape and gives its rows by slices, as an array does."""

    @abc.abstractmethod
    def opened(self) -> AbstractContextManager[Any]:
        """What gives the rows, open for one iteration."""

    def taken(self, rows: Any) -> "Column":
        """A slice as an array in memory."""
        import numpy as np

        return np.asarray(rows)

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        with self.opened() as rows:
            return tuple(map(int, rows.shape or ()))

    @functools.cached_property
    def chunk(self) -> int:
        """How many rows are read at least, whichever of them are asked for."""
        return 1

    @property
    def breaks(self) -> Sequence[int]:
        """The first row of every chunk, as a ``range``; of rows that lie by themselves, all of them; of a column that
        is read whole, the first.
        """
        if not self.is_sliced:
            return (0,)
        return range(0, max(1, len(self)), self.chunk)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        if start >= stop:
            return
        if self.chunk > 1:
            # Whole chunks, each of which is read once.
            first, step = start // self.chunk * self.chunk, math.ceil(size / self.chunk) * self.chunk
            last = min(len(self), math.ceil(stop / self.chunk) * self.chunk)
            yield from rebatched(self._slices(first, last, step), start - first, stop - start, size)
        else:
            yield from self._slices(start, stop, size)

    def _slices(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        with self.opened() as rows:
            for first in range(start, stop, size):
                last = min(first + size, stop)
                _check_room(rows, last - first)
                yield self.taken(rows[first:last])

    def __call__(self) -> "Column":
        """The whole column."""
        with self.opened() as rows:
            _check_room(rows, *(rows.shape or ())[:1])
            return self.taken(rows[...])


def _check_room(rows: Any, count: int = 1) -> None:
    """Raise a MemoryError if so many of these rows do not fit into memory: a header may state any shape."""
    from kullback.numerics.memory import check_room

    shape = (count, *(rows.shape or ())[1:])
    size = math.prod(shape) * rows.dtype.itemsize
    if size > _LARGE:
        check_room(size, f"an array of shape {shape}")


@dataclass(frozen=True)
class Layout:
    """Where the numbers of an array lie in a file: C-contiguous, from an offset on."""

    offset: int
    dtype: Any
    """Of NumPy or of torch."""
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """The bytes of one row."""
        return math.prod(self.shape[1:]) * int(self.dtype.itemsize)

    @property
    def size(self) -> int:
        """The bytes of all rows."""
        return math.prod(self.shape) * int(self.dtype.itemsize)


class RawRows(Sliced):
    """An array whose numbers lie in a file as they do in memory. Only the bytes that are asked for are read."""

    def __init__(self, path: "Place") -> None:
        self.path = path

    @property
    @abc.abstractmethod
    def layout(self) -> Layout:
        """Where the numbers are."""

    @contextmanager
    def opened(self) -> "Iterator[Reader]":
        """The rows in the open file."""
        with self.path.open("rb") as file:
            yield Reader(file, self.layout)

    def taken(self, rows: "Column") -> "Column":
        """The slice itself."""
        return rows


class Reader:
    """Rows of an open file."""

    def __init__(self, file: IO[bytes], layout: Layout) -> None:
        self._file, self._layout, self.shape, self.dtype = file, layout, layout.shape, layout.dtype

    def __getitem__(self, rows: slice | EllipsisType) -> "Column":
        layout = self._layout
        if rows is ...:
            return _typed(_bytes(self._file, layout.offset, layout.size), layout.dtype, layout.shape)
        start, stop, _ = rows.indices(layout.shape[0])
        count = max(0, stop - start)
        read = _bytes(self._file, layout.offset + start * layout.row, count * layout.row)
        return _typed(read, layout.dtype, (count, *layout.shape[1:]))


def _bytes(file: IO[bytes], offset: int, size: int) -> "np.ndarray[Any, Any]":
    import numpy as np

    buffer = np.empty(size, np.uint8)
    file.seek(offset)
    done = 0
    while done < size:
        count = file.readinto(buffer.data[done:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError(f"it ends {size - done:,} bytes early")
        done += count
    return buffer


def _typed(buffer: "np.ndarray[Any, Any]", dtype: Any, shape: tuple[int, ...]) -> "Column":
    import numpy as np

    if isinstance(dtype, np.dtype):
        typed: np.ndarray[Any, Any] = buffer.view(dtype) if dtype.itemsize else np.empty(shape, dtype)
        return typed.reshape(shape)
    import torch

    return torch.from_numpy(buffer).view(dtype).reshape(shape) if buffer.size else torch.empty(shape, dtype=dtype)


def checked(batches: "Iterator[Column]", rows: int, seen: int, expected: int) -> "Iterator[Column]":
    """The batches of so many rows, the checksum of whose bytes, which begins with ``seen``, must be ``expected``.

    Raises:
        EOFError: in place of the last, if it is another.
    """
    import numpy as np

    for batch in batches:
        seen = zlib.crc32(np.asarray(batch).reshape(-1).view(np.uint8).data, seen)
        rows -= len(batch)
        if not rows and seen != expected:
            raise EOFError("its checksum is another")
        yield batch


class InMemory(Sliced):
    """An array."""

    def __init__(self, array: "Column") -> None:
        self.array = array

    def opened(self) -> AbstractContextManager["Column"]:
        """The array."""
        return nullcontext(self.array)

    def taken(self, rows: "Column") -> "Column":
        """The slice itself."""
        return rows
