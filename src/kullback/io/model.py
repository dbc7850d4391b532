"""The posteriors of one model, one for each row: in memory, or stored and read in batches."""

import abc
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian

if TYPE_CHECKING:
    from kullback.io.named_column import NamedColumn
    from kullback.io.stored import Stored


# How many ids are read at a time, and rows where their numbers allow it.
ROWS_AT_ONCE = 2**16

TOLD = 10
"""How many of the rows that have a value that is not possible are told of."""


@dataclass(frozen=True, eq=False)
class ModelBatch:
    """Consecutive rows of a model."""

    gaussian: Gaussian
    bad: Tensor | None = None
    """Which rows have a value that is not possible; None if no row has one."""
    places: tuple[str, ...] = ()
    """Of the first ``TOLD`` of these rows, in their order, where a value is that is not possible, and what it is."""


class Model(abc.ABC):
    """The posteriors of one model."""

    name: str
    source: str
    """What an error calls it: the name of its file."""
    id_name = "id"
    """What the column of ids is called."""
    others: "tuple[NamedColumn, ...]" = ()
    """The further columns of a model without ids, which may identify its rows."""

    def __getstate__(self) -> dict[str, Any]:
        """Without the columns that no other process reads."""
        return {name: value for name, value in self.__dict__.items() if name != "others"}

    @abc.abstractmethod
    def __len__(self) -> int: ...

    @property
    @abc.abstractmethod
    def event_shape(self) -> torch.Size:
        """The shape of one mean."""

    @property
    @abc.abstractmethod
    def numbers_per_row(self) -> int:
        """How many numbers the larger of a mean and a scale has."""

    @property
    @abc.abstractmethod
    def has_ids(self) -> bool:
        """Whether rows have ids."""

    @abc.abstractmethod
    def ids_of(self, start: int, stop: int, size: int) -> Iterator[Sequence[Any]]:
        """The ids of consecutive rows, in batches as those of the rows."""

    @property
    @abc.abstractmethod
    def breaks(self) -> Sequence[int]:
        """The rows at which reading can begin without reading others first, ascending."""

    @abc.abstractmethod
    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Consecutive rows in batches of ``size``, of which the last may be shorter.

        Raises:
            PosteriorFileError: if a value is not possible, unless ``skip`` is true: then the batch says where.
        """

    @abc.abstractmethod
    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """The inputs of some rows as images; empty without any."""

    def rows_of(self, ids: Sequence[Any]) -> list[int] | None:
        """The rows with these ids; None if it lacks one."""
        wanted, found, first = set(ids), dict[Any, int](), 0
        for batch in self.ids_of(0, len(self), ROWS_AT_ONCE):
            found |= {i: row for row, i in enumerate(batch, first) if i in wanted}
            first += len(batch)
        return [found[i] for i in ids] if len(found) == len(wanted) else None

    def read(self) -> Gaussian:
        """All rows in memory."""
        return next(self.batches(0, len(self), max(1, len(self)))).gaussian


@dataclass(frozen=True, eq=False)
class Posteriors(Model):
    """A model in memory: a Gaussian for each row, and the ids of the rows if there are any."""

    name: str
    source: str
    gaussian: Gaussian
    ids: Sequence[Any] | None = None
    images: "Callable[[Iterable[int]], list[Any]] | None" = None
    """Gives the images of some rows."""
    others: "tuple[NamedColumn, ...]" = ()

    def __len__(self) -> int:
        return len(self.gaussian)

    @property
    def event_shape(self) -> torch.Size:
        """That of the Gaussians."""
        return self.gaussian.event_shape

    @property
    def numbers_per_row(self) -> int:
        """The square of the number of coordinates for matrices."""
        n = self.gaussian.event_size
        return n if self.gaussian.scale.is_diagonal else n * n

    @property
    def has_ids(self) -> bool:
        """Whether there are some."""
        return self.ids is not None

    def ids_of(self, start: int, stop: int, size: int) -> Iterator[Sequence[Any]]:
        """Slices of the ids."""
        assert self.ids is not None
        for first in range(start, stop, size):
            yield self.ids[first : min(first + size, stop)]

    @property
    def breaks(self) -> Sequence[int]:
        """Anywhere."""
        return range(len(self))

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Slices."""
        for first in range(start, stop, size):
            yield ModelBatch(self.gaussian[first : min(first + size, stop)])

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """What the column of images contains; none if it cannot be read, or has another number of rows."""
        return [] if self.images is None else self.images(rows)


def rows_of_images(images: "Stored", rows: Iterable[int], count: int) -> "list[Any]":
    """Some rows of a column of images; none if it cannot be read, or does not have so many rows."""
    try:
        if len(images) != count:
            return []
        if not images.is_sliced:
            column = images()
            return [column[row] for row in rows]
        return [next(images.batches(row, row + 1, 1))[0] for row in rows]
    except (PosteriorFileError, MemoryError):
        return []
