"""The rows of one model without those that are left out: held in memory, or read from where they are stored."""

import abc
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kullback.gaussians.gaussian import Gaussian
from kullback.io.joining import alone
from kullback.io.model import ROWS_AT_ONCE, Model, Posteriors
from kullback.io.row_formats import id_array
from kullback.io.rows import NONE_SKIPPED, ModelRows, Skipped, one_batch
from kullback.numerics.memory import installed

if TYPE_CHECKING:
    Ids = np.ndarray[Any, Any]

# The share of the memory of this machine that copies of one model may take.
_SHARE = 0.5


class Kept(abc.ABC):
    """Rows of one model, which are counted without those that were left out. They can be pickled."""

    skipped: Skipped
    """The rows that were left out."""

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @abc.abstractmethod
    def part(self, start: int, stop: int) -> Gaussian:
        """Some rows, of which there is one at least."""

    @abc.abstractmethod
    def parts(self, size: int) -> Iterator[Gaussian]:
        """All rows, so many at a time, of which only the last may be fewer; they are read once."""

    @abc.abstractmethod
    def ids(self, rows: "Ids") -> "Ids":
        """The ids of these rows; of a model without ids, their numbers in the data."""


@dataclass(frozen=True, eq=False)
class Held(Kept):
    """Rows in memory."""

    gaussian: Gaussian
    keys: "Ids"
    skipped: Skipped = NONE_SKIPPED

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, stop: int) -> Gaussian:
        """A view."""
        return self.gaussian[start:stop]

    def parts(self, size: int) -> Iterator[Gaussian]:
        """Views."""
        return (self.part(start, start + size) for start in range(0, len(self), size))

    def ids(self, rows: "Ids") -> "Ids":
        """Looked up."""
        return self.keys[rows]


@dataclass(frozen=True, eq=False)
class Streamed(Kept):
    """Rows that are read each time they are asked for."""

    rows: ModelRows
    numbers: "range | Ids"
    """Of the rows that are kept, in the data."""
    skipped: Skipped = NONE_SKIPPED

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, start: int, stop: int) -> Gaussian:
        """Read by itself."""
        stop = min(stop, len(self))
        return self.rows.together(range(int(self.numbers[start]), int(self.numbers[stop - 1]) + 1)).gaussians[0]

    def parts(self, size: int) -> Iterator[Gaussian]:
        """Read one after the other."""
        waiting: list[Gaussian] = []
        for batch in self.rows.batches(range(len(self.rows))):
            waiting.append(batch.gaussians[0])
            while sum(map(len, waiting)) >= size:
                whole = one_batch(waiting)
                yield whole[:size]
                waiting = [whole[size:]]
        if any(map(len, waiting)):
            yield one_batch(waiting)

    def ids(self, rows: "Ids") -> "Ids":
        """Read once more, in batches."""
        (model,) = self.rows.models
        numbers, places = np.unique(np.asarray(self.numbers)[rows], return_inverse=True)
        if not model.has_ids:
            return numbers[places].reshape(rows.shape)
        found, start = [], 0
        for batch in model.ids_of(0, len(model), ROWS_AT_ONCE):
            first, last = np.searchsorted(numbers, [start, start + len(batch)])
            found += [batch[number - start] for number in numbers[first:last].tolist()]
            start += len(batch)
        return id_array(found)[places].reshape(rows.shape)


def kept(model: Model, *, skip: bool, copies: int) -> Kept:
    """The rows of a model: held if so many copies of it take at most half of the memory of this machine.

    Args:
        model: the model.
        skip: whether rows with a value that is not possible are left out.
        copies: how many processes may hold it at a time.

    Raises:
        PosteriorFileError: if two rows have the same id, or, where rows are read, if a value is not possible.
    """
    rows = alone(model, skip=skip)
    if isinstance(model, Posteriors):
        return Held(model.gaussian, id_array(range(len(model)) if model.ids is None else model.ids))
    every = range(len(model))
    # A mean and a scale in float64, and an id.
    if every and copies * len(model) * (16 * model.numbers_per_row + 64) <= _SHARE * installed():
        batch = rows.together(every)
        return Held(batch.gaussians[0], id_array(batch.ids), batch.skipped)
    if not skip:
        return Streamed(rows, every)
    batches = ((batch.numbers.numpy(), batch.skipped) for batch in rows.batches(every))
    numbers, skipped = zip(*batches, strict=True)
    return Streamed(rows, np.concatenate(numbers), functools.reduce(Skipped.merge, skipped))
