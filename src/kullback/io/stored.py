"""A column of a file or of an array, of which any rows can be read without the others."""

import abc
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Column = Tensor | np.ndarray[Any, Any]


class Stored(abc.ABC):
    """Rows of numbers or ids, read in the order in which they are stored.

    It can be pickled where what it reads can be opened again: a process of a cluster gets the place, not the numbers.
    Each iteration opens what it reads anew, so that threads share nothing.
    """

    name: str = ""
    """The name of the column, if it knows it."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""

    @abc.abstractmethod
    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``, of which only the last may be shorter."""

    @property
    def breaks(self) -> Sequence[int]:
        """The rows at which reading can begin without reading others first, ascending, the first of them 0.

        For an array these are all rows, as a ``range``, and for a Parquet file the first row of each row group.
        """
        return (0,)

    @property
    def is_sliced(self) -> bool:
        """Whether some rows can be read in less memory than all of them take."""
        return True

    @property
    def has_codes(self) -> bool:
        """Whether it is text, such as ``007``, of which numbers are made that would not be written so."""
        return False

    def as_text(self) -> "Stored":
        """The column as the text that it was made of."""
        return self

    def place(self, row: int) -> str:
        """Where a row is, for a message: ``row 17``, or ``part-3.parquet, row group 2, row 17``."""
        return f"row {row:,}"

    def beside(self, others: "Sequence[Stored]") -> "Stored | None":
        """This and other columns of single numbers as coordinates of one, where one reading gives all; else None."""
        return None

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    def __call__(self) -> "Column":
        """The whole column."""
        return next(self.batches(0, len(self), max(1, len(self))))


def check_room(what: str, *columns: Stored) -> None:
    """Raise a MemoryError if columns of a file are together larger than the memory of this machine, before they are
    read; ``what`` says what needs it.
    """
    from kullback.numerics.memory import check_room as check

    # Of a column that has to be read whole, the size is not known before.
    known = [x for x in columns if x.is_sliced and 0 not in (x.shape or (0,))]
    size = sum(next(x.batches(0, 1, 1)).nbytes * len(x) for x in known)
    check(size, what)
