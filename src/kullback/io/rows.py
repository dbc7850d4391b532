"""Rows of one model, or of two side by side, read in batches of a size that memory bounds."""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian

# How many rows that were left out are listed.
_LISTED = 10


@dataclass(frozen=True)
class Skipped:
    """The rows that were left out because a value in them is not possible: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()
    """The places and values of the first ten, by their order in the data."""

    def merge(self, other: "Skipped") -> "Skipped":
        """Those of both, of which ``other`` come later."""
        return Skipped(self.count + other.count, (self.first + other.first)[:_LISTED])


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Some rows of each model, without those that were left out."""

    numbers: Tensor
    """The number of each row in the data, counted from 0: int64, ascending."""
    ids: Sequence[Any]
    gaussians: tuple[Gaussian, ...]
    """A batch ``(n,)`` of each model."""
    skipped: Skipped

    def __len__(self) -> int:
        return len(self.ids)


class Rows(abc.ABC):
    """The rows of one model, or of two, in memory or stored. They can be pickled where what they read can be."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def tasks(self, numbers: int) -> list[range]:
        """Consecutive ranges of rows, each of so many numbers of a mean at least, that can be read independently."""

    @abc.abstractmethod
    def batches(self, rows: range) -> Iterator[RowBatch]:
        """These rows, in batches of a bounded number of numbers."""
