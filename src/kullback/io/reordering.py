"""A model whose rows are put into the order of another: in memory, or by sorting them into temporary files."""

import abc
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.io.model import ROWS_AT_ONCE, TOLD, Model, ModelBatch, Posteriors
from kullback.io.temporary import Folder

# Numbers that are moved in memory, numbers that are sorted at a time, and files that rows are sorted into.
_IN_MEMORY, _SORTED, _FILES = 2**26, 2**22, 512


def reordered(model: Model, places: "np.ndarray[Any, Any]") -> Model:
    """The model with the rows at these places, in this order; -1 is a row that it does not have."""
    if isinstance(model, Posteriors) or len(model) * model.numbers_per_row <= _IN_MEMORY:
        return _Indexed(model, places)
    return _Sorted(model, places)


class _Reordered(Model):
    """A model with its rows in another order. A row that it does not have is told as bad."""

    def __init__(self, model: Model, places: "np.ndarray[Any, Any]") -> None:
        self.name, self.source = model.name, model.source
        self._model, self._places = model, places
        self._is_bad = places < 0

    @abc.abstractmethod
    def _gaussians(self, start: int, stop: int, size: int) -> Iterator[Gaussian]:
        """Consecutive rows in batches, of which bad ones may have any values."""

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Consecutive rows; only the first bad rows of the model are described."""
        described = set(np.flatnonzero(self._is_bad)[:TOLD].tolist()) if skip else None
        first = start
        for gaussian in self._gaussians(start, stop, size):
            last = first + len(gaussian)
            bad = self._is_bad[first:last]
            rows = (first + np.flatnonzero(bad)[:TOLD]).tolist()
            told = tuple(self._told(row, skip=skip) for row in rows if described is None or row in described)
            yield ModelBatch(gaussian, torch.from_numpy(bad) if rows else None, told)
            first = last

    def _told(self, row: int, *, skip: bool) -> str:
        """What is wrong with a bad row, which is read once more.

        Raises:
            PosteriorFileError: for a value that is not possible, unless ``skip`` is true.
        """
        place = int(self._places[row])
        if place < 0:
            return f"no partner in {self.source}"
        return next(iter(self._model.batches(place, place + 1, 1, skip=skip))).places[0]

    def _mark(self, targets: "np.ndarray[Any, Any]", bad: Tensor | None) -> None:
        """Mark the bad rows of a batch, each of which has its place in this order as a target, or -1."""
        if bad is not None:
            moved = targets[bad.numpy()]
            self._is_bad[moved[moved >= 0]] = True

    @property
    def _targets(self) -> "np.ndarray[Any, Any]":
        """Where each row of the model is in this order; -1 if it is left out."""
        targets = np.full(len(self._model), -1, np.int64)
        has = (self._places >= 0).nonzero()[0]
        targets[self._places[has]] = has
        return targets

    def __len__(self) -> int:
        return len(self._places)

    @property
    def event_shape(self) -> torch.Size:
        """That of the model."""
        return self._model.event_shape

    @property
    def numbers_per_row(self) -> int:
        """That of the model."""
        return self._model.numbers_per_row

    @property
    def has_ids(self) -> bool:
        """They are those of the model beside it."""
        return False

    def ids_of(self, start: int, stop: int, size: int) -> Iterator[Sequence[Any]]:
        """None."""
        raise NotImplementedError

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """Those of the rows that the model has."""
        return self._model.image_rows([int(self._places[row]) for row in rows])


class _Indexed(_Reordered):
    """A model in memory."""

    def __init__(self, model: Model, places: "np.ndarray[Any, Any]") -> None:
        super().__init__(model, places)
        batch = next(model.batches(0, len(model), len(model), skip=True))
        self._mark(self._targets, batch.bad)
        self._gaussian = batch.gaussian[torch.from_numpy(np.maximum(places, 0))]

    @property
    def breaks(self) -> Sequence[int]:
        """Anywhere."""
        return range(len(self))

    def _gaussians(self, start: int, stop: int, size: int) -> Iterator[Gaussian]:
        return (self._gaussian[first : min(first + size, stop)] for first in range(start, stop, size))


@dataclass(frozen=True)
class _Columns:
    """How the rows of a Gaussian are written: the type and the shape of each of its tensors."""

    template: Gaussian
    kinds: tuple[tuple[torch.dtype, tuple[int, ...]], ...]


class _Sorted(_Reordered):
    """A stored model whose rows are sorted into temporary files, each of which holds a range of rows in any order."""

    def __init__(self, model: Model, places: "np.ndarray[Any, Any]") -> None:
        super().__init__(model, places)
        size = len(model) * model.numbers_per_row * 8
        warnings.warn(
            f"{model.source}: its rows are in another order than those of the other file; about {size / 1e9:.1f} GB "
            f"are sorted by id into {tempfile.gettempdir()}",
            stacklevel=2,
        )
        self._folder = Folder("kullback-sorted-")
        self._path = self._folder.path
        self._at_once = min(ROWS_AT_ONCE, max(1, _SORTED // model.numbers_per_row))
        self._rows = max(self._at_once, -(-len(places) // _FILES))
        self._columns = self._write()

    @property
    def breaks(self) -> Sequence[int]:
        """The first row of each file."""
        return range(0, len(self), self._rows)

    def _write(self) -> _Columns:
        targets, first, columns = self._targets, 0, None
        for batch in self._model.batches(0, len(self._model), self._at_once, skip=True):
            g = batch.gaussian
            tensors = [g.mean, *(x for x, _ in g.scale.parts(g.event_dims))]
            tensors = [x.broadcast_to(len(g), *x.shape[1:]).contiguous() for x in tensors]
            columns = columns or _Columns(g[:0], tuple((x.dtype, tuple(x.shape[1:])) for x in tensors))
            rows = targets[first : first + len(g)]
            self._mark(rows, batch.bad)
            # Bytes, because NumPy lacks some types of torch.
            self._append(rows, [x.view(torch.uint8).numpy() for x in tensors])
            first += len(g)
        assert columns is not None
        return columns

    def _append(self, rows: "np.ndarray[Any, Any]", arrays: "list[np.ndarray[Any, Any]]") -> None:
        files = np.where(rows < 0, -1, rows // self._rows)
        order = np.argsort(files, kind="stable")
        bounds = np.flatnonzero(np.diff(files[order], prepend=-2))
        for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
            chosen = order[start:stop]
            file = int(files[chosen[0]])
            if file >= 0:
                for name, x in (("rows", rows), *((str(i), x) for i, x in enumerate(arrays))):
                    with (self._path / f"{file}.{name}").open("ab") as out:
                        out.write(x[chosen].tobytes())

    def _file(self, number: int) -> list[Tensor]:
        """The rows of one file in order."""
        start = number * self._rows
        count = min(self._rows, len(self) - start)
        path = self._path / f"{number}.rows"
        rows = np.fromfile(path, np.int64) - start if path.exists() else np.empty(0, np.int64)
        if len(rows) != (self._places[start : start + count] >= 0).sum():
            raise FileNotFoundError(
                f"{self._path}: not all rows that were sorted by id are here. Workers of a cluster read them: "
                "set TMPDIR to a folder that all of them see."
            )
        found = []
        for i, (dtype, shape) in enumerate(self._columns.kinds):
            tensor = torch.ones((count, *shape), dtype=dtype)
            if len(rows):
                written = torch.from_numpy(np.fromfile(self._path / f"{number}.{i}", np.uint8))
                tensor[torch.from_numpy(rows)] = written.view(dtype).reshape(len(rows), *shape)
            found.append(tensor)
        return found

    def _gaussians(self, start: int, stop: int, size: int) -> Iterator[Gaussian]:
        """Rows of the files, which are read one after another."""
        loaded, columns = -1, list[Tensor]()
        template = self._columns.template
        for first in range(start, stop, size):
            end = min(first + size, stop)
            pieces = []
            at = first
            while at < end:
                if at // self._rows != loaded:
                    loaded = at // self._rows
                    columns = self._file(loaded)
                offset = loaded * self._rows
                until = min(end, offset + self._rows)
                pieces.append([x[at - offset : until - offset] for x in columns])
                at = until
            mean, *scales = (torch.cat(column) for column in zip(*pieces, strict=True))
            left = iter(scales)
            scale = template.scale.map(lambda x, _, left=left: next(left), template.event_dims)  # type: ignore[misc]
            yield Gaussian(mean, scale, template.event_dims)
