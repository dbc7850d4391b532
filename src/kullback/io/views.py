"""Columns that are made of others."""

import bisect
import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.chunks import rebatched
from kullback.io.no_numbers import check_numbers
from kullback.io.stored import Stored
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.stored import Column


class Concatenated(Stored):
    """Columns of several files, one after the other."""

    def __init__(self, name: str, parts: Sequence[tuple[str, Stored]]) -> None:
        self.name, self.files, self.parts = name, [file for file, _ in parts], [part for _, part in parts]

    @functools.cached_property
    def _starts(self) -> tuple[int, ...]:
        return tuple(itertools.accumulate(map(len, self.parts), initial=0))

    @functools.cached_property
    def _row(self) -> tuple[tuple[int, ...], Any]:
        """The shape of a row, and the dtype of all parts, which are to agree.

        Raises:
            PosteriorFileError: if two files differ.
        """
        first: tuple[str, tuple[int, ...], str] | None = None
        dtype: Any = None
        for file, part in zip(self.files, self.parts, strict=True):
            if not len(part):
                continue
            start = next(part.batches(0, 1, 1))
            shape, kind = tuple(start.shape[1:]), _kind(start)
            if first is None:
                first, dtype = (file, shape, kind), start.dtype
                continue
            where = f"column {printable(self.name)!r} differs between {printable(first[0])} and {printable(file)}"
            if shape != first[1]:
                raise PosteriorFileError(f"{where}: a row has the shape {first[1]} in one, {shape} in the other.")
            if kind != first[2]:
                raise PosteriorFileError(f"{where}: it holds {first[2]} in one, {kind} in the other.")
            dtype = _common(dtype, start.dtype)
        return first[1] if first else (), dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows of all files, and the shape of one."""
        return (len(self), *self._row[0])

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def breaks(self) -> Sequence[int]:
        """Those of all parts."""
        parts = [(start, part.breaks) for start, part in zip(self._starts, self.parts, strict=False) if len(part)]
        return _Breaks(parts) if parts else (0,)

    @property
    def is_sliced(self) -> bool:
        """Whether all parts are, or there are several."""
        return len(self.parts) > 1 or all(part.is_sliced for part in self.parts)

    @property
    def has_codes(self) -> bool:
        """Whether any part has: then all are to be text."""
        return any(part.has_codes for part in self.parts)

    def as_text(self) -> "Stored":
        """The text of all parts."""
        texts = [(file, part.as_text()) for file, part in zip(self.files, self.parts, strict=True)]
        return Concatenated(self.name, texts)

    def beside(self, others: Sequence[Stored]) -> "Stored | None":
        """Those of each file as one."""
        own = [self, *(other for other in others if isinstance(other, Concatenated) and other.files == self.files)]
        if len(own) <= len(others):
            return None
        parts = [side_by_side(of) for of in zip(*(column.parts for column in own), strict=True)]
        return Concatenated(f"{self.name} … {own[-1].name}", list(zip(self.files, parts, strict=True)))

    def place(self, row: int) -> str:
        """The file, and the place of the row in it."""
        index = bisect.bisect_right(self._starts, row) - 1
        return f"{printable(self.files[index])}, {self.parts[index].place(row - self._starts[index])}"

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        if start >= stop:
            return
        yield from rebatched(self._pieces(start, stop, size), 0, stop - start, size)

    def _pieces(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        dtype = self._row[1]
        for first, part in zip(self._starts, self.parts, strict=False):
            begin, end = max(0, start - first), min(len(part), stop - first)
            if begin < end:
                for piece in part.batches(begin, end, size):
                    yield _as(piece, dtype)

    def __call__(self) -> "Column":
        """The whole column."""
        return super().__call__() if len(self) else self.parts[0]()


class Lacking(Stored):
    """A column that only some of several files have. Whatever is read of it is an error."""

    def __init__(self, name: str, lacking: str, having: str) -> None:
        self.name, self.lacking, self.having = name, lacking, having

    def _error(self) -> PosteriorFileError:
        return PosteriorFileError(
            f"{printable(self.lacking)} lacks {printable(self.name)!r}, unlike {printable(self.having)}. All need the "
            "columns that are read."
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """None."""
        raise self._error()

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """None."""
        raise self._error()


class _Breaks(Sequence[int]):
    """The breaks of several columns, one after the other, which may be a row each: they are not listed."""

    def __init__(self, parts: Sequence[tuple[int, Sequence[int]]]) -> None:
        self._parts = parts
        self._counts = tuple(itertools.accumulate((len(breaks) for _, breaks in parts), initial=0))

    def __len__(self) -> int:
        return self._counts[-1]

    def __getitem__(self, index: Any) -> Any:
        number = range(len(self))[index]
        if isinstance(number, range):
            return [self[i] for i in number]
        part = bisect.bisect_right(self._counts, number) - 1
        start, breaks = self._parts[part]
        return start + breaks[number - self._counts[part]]


def side_by_side(columns: Sequence[Stored]) -> Stored:
    """Columns of single numbers as the coordinates of one column."""
    return columns[0].beside(columns[1:]) or SideBySide(columns)


class SideBySide(Stored):
    """Columns of single numbers as the coordinates of one column."""

    def __init__(self, columns: Sequence[Stored]) -> None:
        self.columns = list(columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the number of columns."""
        return len(self.columns[0]), len(self.columns)

    @property
    def breaks(self) -> Sequence[int]:
        """Those of the column with the fewest."""
        return min((column.breaks for column in self.columns), key=len)

    @property
    def is_sliced(self) -> bool:
        """Whether the columns are."""
        return all(column.is_sliced for column in self.columns)

    def place(self, row: int) -> str:
        """That of the first column."""
        return self.columns[0].place(row)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        for batch in zip(*(column.batches(start, stop, size) for column in self.columns), strict=True):
            self._check(batch)
            yield _stacked(batch)

    def __call__(self) -> "Column":
        """The whole column."""
        whole = [column() for column in self.columns]
        self._check(whole)
        return _stacked(whole)

    def _check(self, rows: "Sequence[Column]") -> None:
        for number, (column, part) in enumerate(zip(self.columns, rows, strict=True)):
            check_numbers(column, column.name or f"coordinate {number}", part)


class HalfOfChannels(Stored):
    """The first or the second half of a column along its first axis after that of the rows."""

    def __init__(self, column: Stored, name: str, half: int) -> None:
        self.column, self.name, self.half = column, name, half

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of half of one."""
        rows, *event = self.column.shape or (0,)
        if not event or event[0] % 2:
            raise PosteriorFileError(
                f"column {printable(self.name)!r} of shape {self.column.shape} has no halves along its axis 1, of "
                "which the first would be means and the second log-variances."
            )
        return rows, event[0] // 2, *event[1:]

    @property
    def breaks(self) -> Sequence[int]:
        """Those of the column."""
        return self.column.breaks

    @property
    def is_sliced(self) -> bool:
        """Whether the column is."""
        return self.column.is_sliced

    def place(self, row: int) -> str:
        """The place in the column."""
        return self.column.place(row)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        width = self.shape[1]
        for batch in self.column.batches(start, stop, size):
            yield batch[:, self.half * width : (self.half + 1) * width]

    def __call__(self) -> "Column":
        """The whole half."""
        width = self.shape[1]
        return self.column()[:, self.half * width : (self.half + 1) * width]


def _stacked(columns: "Sequence[Column]") -> "Column":
    import numpy as np

    if any(column.ndim != 1 for column in columns):
        raise PosteriorFileError("a column that is numbered as a coordinate holds lists, where others hold numbers.")
    if isinstance(columns[0], np.ndarray):
        return np.stack([np.asarray(column) for column in columns], 1)
    import torch

    return torch.stack([torch.as_tensor(column) for column in columns], 1)


_KINDS = {"f": "floating-point numbers", "i": "integers", "u": "integers", "b": "truth values"}
_KINDS |= dict.fromkeys("OUST", "text")


def _kind(x: "Column") -> str:
    """What an array holds, in a word."""
    import numpy as np

    if isinstance(x, np.ndarray):
        return _KINDS.get(x.dtype.kind, str(x.dtype))
    import torch

    if x.is_floating_point():
        return _KINDS["f"]
    return _KINDS["b"] if x.dtype == torch.bool else str(x.dtype) if x.is_complex() else _KINDS["i"]


def _common(a: Any, b: Any) -> Any:
    """The dtype that holds the values of both."""
    import numpy as np

    if a == b:
        return a
    if isinstance(a, np.dtype):
        common = np.result_type(a, b)
        # NumPy takes numbers of 64 bits with a sign and without for float64, which does not hold them.
        return np.dtype(object) if common.kind == "f" and a.kind in "iu" else common
    import torch

    return torch.promote_types(a, b)


def _as(x: Any, dtype: Any) -> "Column":
    """An array of this dtype, copied if it has another; as it is, if integers are missing in it."""
    import numpy as np

    if not isinstance(x, np.ndarray):
        return x.to(dtype)  # type: ignore[no-any-return]
    # No integer says that a number is missing.
    return x if x.dtype.kind == "f" and dtype.kind in "iu" else x.astype(dtype, copy=False)
