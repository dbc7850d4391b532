"""Rows of one model, or of two side by side, read in batches of a size that memory bounds."""

import abc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian

# How many rows that were left out are listed.
_LISTED = 10

# How many numbers of a mean a batch in memory has.
_NUMBERS = 2**20


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


class InMemory(Rows):
    """Rows of Gaussians that are in memory, without rows to leave out.

    Args:
        gaussians: a batch ``(n,)`` of each model.
        ids: one for each row; without them, the numbers of the rows.
    """

    def __init__(self, gaussians: tuple[Gaussian, ...], ids: Sequence[Any] | None = None) -> None:
        self._gaussians = gaussians
        self._ids = range(len(gaussians[0])) if ids is None else ids

    def __len__(self) -> int:
        return len(self._ids)

    def tasks(self, numbers: int) -> list[range]:
        """Ranges of the same number of rows, of which only the last may be shorter."""
        size = self._rows(numbers)
        return [range(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def batches(self, rows: range) -> Iterator[RowBatch]:
        """These rows, in batches."""
        size = self._rows(_NUMBERS)
        for start in range(rows.start, rows.stop, size):
            some = slice(start, min(start + size, rows.stop))
            yield RowBatch(
                torch.arange(some.start, some.stop),
                self._ids[some],
                tuple(gaussian[some] for gaussian in self._gaussians),
                Skipped(),
            )

    def _rows(self, numbers: int) -> int:
        """How many rows have so many numbers of a mean."""
        return -(-numbers // self._gaussians[0].event_shape.numel())
