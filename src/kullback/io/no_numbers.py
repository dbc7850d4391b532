"""Columns that hold something else where numbers are expected, such as a ``.csv`` with one word among numbers."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.stored import Column, Stored

# How many characters of a value a message shows.
_SHOWN = 40


def are_others(column: "Column") -> bool:
    """Whether an array holds text or other objects."""
    import numpy as np

    return isinstance(column, np.ndarray) and column.dtype.kind in "OSUT"


def check_numbers(column: "Stored", name: str, first: "Column") -> None:
    """Raise a :class:`PosteriorFileError` if a column, of which these are the first rows, holds something else."""
    if are_others(first):
        raise no_numbers(name, column.place, column.batches(0, len(column), 2**16))


def no_numbers(
    name: str, place: Callable[[int], str], batches: "Iterable[Column]", start: int = 0
) -> PosteriorFileError:
    """The error for a column without numbers, which names the first value that is not even a number as text.

    Args:
        name: the name of the column.
        place: where a row is.
        batches: the rows, from ``start`` on.
        start: the first row.
    """
    row, first = start, None
    for batch in batches:
        for values in batch.reshape(len(batch), -1).tolist():
            for value in values:
                first = first or (row, value)
                if not _is_number(value):
                    return _error(name, place(row), value)
            row += 1
    return (
        PosteriorFileError(f"column {printable(name)!r} has no rows.")
        if first is None
        else _error(name, place(first[0]), first[1])
    )


def _error(name: str, where: str, value: Any) -> PosteriorFileError:
    shown, kind = printable(value)[:_SHOWN], "text" if isinstance(value, (str, bytes)) else "no number"
    return PosteriorFileError(f"column {printable(name)!r}, {where}: {shown!r} is {kind}, expected numbers.")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
