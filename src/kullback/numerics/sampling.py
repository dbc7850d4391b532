"""A sample of rows that their numbers alone determine, so that it is the same whatever the parts and their order.

The number of a row gives 63 bits that look random. A sample of level L holds the rows whose first L bits are zero, a
share of :math:`2^{-L}`; the level is the lowest at which they are no more than a given number. So the sample of a union
follows from the samples of its parts, and up to that number of rows it holds all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_BITS = 63

# How many parts a sample has at most: their number is the time that each merge takes.
_PARTS = 64


def bits_of(numbers: Tensor, salt: int = 0) -> Tensor:
    """63 bits that look random, for each number of a row (Steele, Lea and Flood 2014: SplitMix64).

    Other salts give other bits.
    """
    x = numbers.numpy().astype(np.uint64)
    with np.errstate(over="ignore"):
        x = (x + np.uint64(salt + 1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return torch.from_numpy(((x ^ (x >> np.uint64(31))) >> np.uint64(1)).astype(np.int64))


def level_for(rows: int, capacity: int) -> int:
    """The lowest level L at which rows / 2^L, the expected number of rows in a sample, rounds down to the capacity at
    most.
    """
    level = 0
    while rows >> level > capacity:
        level += 1
    return level


def in_level(bits: Tensor, level: int) -> Tensor:
    """Which rows a sample of this level holds."""
    return (bits >> (_BITS - level)) == 0


@dataclass(frozen=True, eq=False)
class RowSample:
    """Some rows of columns of numbers, in order of their numbers where :meth:`rows` gives them."""

    capacity: int
    """How many rows there are at most."""
    level: int
    numbers: tuple[Tensor, ...]
    """The numbers of the rows, in parts."""
    columns: tuple[tuple[Tensor, ...], ...]
    """The columns, in the same parts."""

    @classmethod
    def of(cls, numbers: Tensor, columns: Sequence[Tensor], capacity: int, level: int = 0) -> "RowSample":
        """The sample of some rows, of this level at least."""
        chosen = in_level(bits_of(numbers), level)
        if not chosen.all():
            numbers, columns = numbers[chosen], [column[chosen] for column in columns]
        return cls(capacity, level, (numbers,), tuple((column,) for column in columns))._within_capacity()

    def __len__(self) -> int:
        return sum(map(len, self.numbers))

    def merge(self, other: "RowSample") -> "RowSample":
        """The sample of the rows of both."""
        level = max(self.level, other.level)
        a, b = self._at(level), other._at(level)
        columns = tuple(x + y for x, y in zip(a.columns, b.columns, strict=True))
        merged = RowSample(self.capacity, level, a.numbers + b.numbers, columns)._within_capacity()
        return merged if len(merged.numbers) <= _PARTS else merged.compact()

    def compact(self) -> "RowSample":
        """The same as one part: many small ones keep memory between them from being used."""
        if len(self.numbers) == 1:
            return self
        return RowSample(
            self.capacity,
            self.level,
            (torch.cat(self.numbers),),
            tuple((torch.cat(column),) for column in self.columns),
        )

    def rows(self) -> "tuple[Tensor, tuple[Tensor, ...]]":
        """The numbers of the rows, ascending, and each column."""
        numbers = torch.cat(self.numbers)
        order = numbers.argsort()
        return numbers[order], tuple(torch.cat(column)[order] for column in self.columns)

    def first(self, rows: int) -> "tuple[Tensor, tuple[Tensor, ...]]":
        """So many of the rows, or all: those with the least bits, in order of their numbers."""
        numbers, columns = self.rows()
        chosen = bits_of(numbers).argsort(stable=True)[:rows].sort().values
        return numbers[chosen], tuple(column[chosen] for column in columns)

    def _within_capacity(self) -> "RowSample":
        level, sample = self.level, self
        while len(sample) > self.capacity:
            level += 1
            sample = sample._at(level)
        return sample

    def _at(self, level: int) -> "RowSample":
        """The rows of it that are in a higher level, as one part."""
        if level == self.level:
            return self
        numbers = torch.cat(self.numbers)
        chosen = in_level(bits_of(numbers), level)
        columns = tuple((torch.cat(column)[chosen],) for column in self.columns)
        return RowSample(self.capacity, level, (numbers[chosen],), columns)
