"""Rows of one model, or of two side by side, read in batches of a size that memory bounds."""

import abc
import bisect
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.io.model import TOLD, Model, ModelBatch
from kullback.io.row_formats import concatenated, id_array
from kullback.io.text import printable


@dataclass(frozen=True)
class Skipped:
    """The rows that were left out because a value in them is not possible: how many, and the first of them."""

    count: int = 0
    first: tuple[str, ...] = ()
    """The places and values of the first ten, by their order in the data."""

    def merge(self, other: "Skipped") -> "Skipped":
        """Those of both, of which ``other`` come later."""
        return Skipped(self.count + other.count, (self.first + other.first)[:TOLD])


NONE_SKIPPED = Skipped()


@dataclass(frozen=True, eq=False)
class RowBatch:
    """Some rows of each model, without those that were left out."""

    numbers: Tensor
    """The number of each row in the data, counted from 0: int64, ascending."""
    ids: Any
    """A sequence or an array."""
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

    def together(self, rows: range) -> RowBatch:
        """These rows, of which there is one at least, as one batch, with the ids as an array."""
        batches = list(self.batches(rows))
        skipped = functools.reduce(Skipped.merge, (batch.skipped for batch in batches))
        batches = [batch for batch in batches if len(batch)] or batches[:1]
        gaussians = tuple(map(one_batch, zip(*(batch.gaussians for batch in batches), strict=True)))
        ids = concatenated([id_array(batch.ids) for batch in batches])
        return RowBatch(torch.cat([batch.numbers for batch in batches]), ids, gaussians, skipped)


def one_batch(parts: Sequence[Gaussian]) -> Gaussian:
    """Batches of one kind, one after the other."""
    if len(parts) == 1:
        return parts[0]

    def joined(tensors: Sequence[Tensor], dims: int) -> Tensor:
        events = (x.broadcast_to(len(g), *x.shape[x.ndim - dims :]) for x, g in zip(tensors, parts, strict=True))
        return torch.cat(list(events))

    first, dims = parts[0], parts[0].event_dims
    columns = zip(*([x for x, _ in g.scale.parts(dims)] for g in parts), strict=True)
    scale = first.scale.map(lambda _, kept: joined(next(columns), kept), dims)
    return Gaussian(joined([g.mean for g in parts], dims), scale, dims, first.array_kind)


# How many numbers of the means are read at a time, and how many of a mean or of matrices are in a batch: larger ones
# leave the caches, and memory in pieces.
_READ, _BATCH = 2**20, 2**19


# A header may state any number of rows; the list of tasks is in memory.
_MOST_TASKS = 2**20


@dataclass(frozen=True, eq=False)
class ModelRows(Rows):
    """The rows of one model, or of two with as many rows in the same order."""

    models: tuple[Model, ...]
    skip: bool = False
    """Whether rows with values that are not possible are left out, instead of an error."""
    unmatched: Skipped = NONE_SKIPPED
    """The rows of the second model that the first does not have."""

    def __len__(self) -> int:
        return len(self.models[0])

    @property
    def event_shape(self) -> torch.Size:
        """The shape of a mean."""
        return self.models[0].event_shape

    @property
    def _numbers(self) -> int:
        return max(1, *(model.numbers_per_row for model in self.models))

    def tasks(self, numbers: int) -> list[range]:
        """They begin where the model with the fewest such places says that reading can begin."""
        least = max(1, -(-numbers // self._numbers), len(self) // _MOST_TASKS)
        breaks = min((model.breaks for model in self.models), key=len)
        starts, next_one = [0], 0
        while (next_one := bisect.bisect_left(breaks, starts[-1] + least, next_one)) < len(breaks):
            starts.append(breaks[next_one])
        return [
            range(start, stop) for start, stop in zip(starts, [*starts[1:], len(self)], strict=True) if stop > start
        ]

    def batches(self, rows: range) -> Iterator[RowBatch]:
        """Those of each model, read in step."""
        size, step = max(1, _READ // self._numbers), max(1, _BATCH // self._numbers)
        first = rows.start
        parts = [model.batches(rows.start, rows.stop, size, skip=self.skip) for model in self.models]
        keys = next((m.ids_of(rows.start, rows.stop, size) for m in self.models if m.has_ids), None)
        for read in zip(*parts, strict=True):
            last = first + len(read[0].gaussian)
            yield from self._batches(read, range(first, last) if keys is None else next(keys), first, step)
            first = last

    def _batches(self, read: "tuple[ModelBatch, ...]", ids: Sequence[Any], first: int, step: int) -> Iterator[RowBatch]:
        gaussians = tuple(batch.gaussian for batch in read)
        numbers = torch.arange(first, first + len(ids), device="cpu")
        skipped = NONE_SKIPPED
        wrong = [batch for batch in read if batch.bad is not None]
        if wrong:
            bad = torch.stack([batch.bad for batch in wrong if batch.bad is not None]).any(0)
            good = (~bad).nonzero().flatten()
            skipped = self._skipped(wrong, ids, bad)
            gaussians = tuple(g[good] for g in gaussians)
            numbers, ids = numbers[good], [ids[i] for i in good.tolist()]
        for start in range(0, max(1, len(ids)), step):
            part = slice(start, start + step)
            yield RowBatch(numbers[part], ids[part], tuple(g[part] for g in gaussians), skipped)
            skipped = NONE_SKIPPED

    def _skipped(self, wrong: "list[ModelBatch]", ids: Sequence[Any], bad: Tensor) -> Skipped:
        """What is said about the rows that are left out: the place of each value, or else the id."""
        told: dict[int, str] = {}
        for batch in wrong:
            assert batch.bad is not None
            rows = batch.bad.nonzero().flatten().tolist()
            for row, place in zip(rows, batch.places, strict=False):
                told[row] = f"{told[row]}; {place}" if row in told else f"id {printable(ids[row])!r}: {place}"
        return Skipped(int(bad.sum()), tuple(told[row] for row in sorted(told)[:TOLD]))

    def gaussians(self) -> tuple[Gaussian, ...]:
        """Each model in memory."""
        return tuple(model.read() for model in self.models)

    def images(self, numbers: Sequence[int]) -> "list[Any]":
        """The inputs of some rows as images, from the first model that has some; empty without any."""
        return next((found for model in self.models if (found := model.image_rows(numbers))), [])
