"""The rows of two models side by side: by their order, or by their ids."""

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.io.model import Model, ModelBatch, Posteriors
from kullback.io.rows import ModelRows, Skipped
from kullback.io.stored_model import StoredModel, not_unique
from kullback.io.text import printable

# Rows read at a time, numbers that are moved in memory, and files that rows are sorted into.
_ROWS, _IN_MEMORY, _FILES = 2**16, 2**26, 512

# Sets the keys of strings apart: the hash of the empty string is 0, which is the key of an integer.
_OF_TEXT = np.uint64(0x9E3779B97F4A7C15)


def alone(a: Model, *, skip: bool = False) -> ModelRows:
    """The rows of one model.

    Raises:
        PosteriorFileError: if two rows have the same id.
    """
    if a.has_ids:
        _sorted_keys(a, _keys(a))
    return ModelRows((a,), skip)


def joined(a: Model, b: Model, *, skip: bool = False) -> ModelRows:
    """The rows of a and b side by side, in the order of a.

    Rows are joined by their ids if both have some, and by order otherwise.

    Args:
        a: a model.
        b: another one.
        skip: whether rows are left out that only one of both has, or that have a value that is not possible.

    Raises:
        PosteriorFileError: if the rows cannot be joined: event shapes, numbers of rows, or ids differ.
    """
    check_shapes(a, b)
    if not (a.has_ids and b.has_ids):
        if len(a) != len(b):
            raise PosteriorFileError(
                f"{a.source} has {len(a)} rows, {b.source} has {len(b)}. To join by order, both need the same number "
                "of rows; to join by identity, both need a column 'id'."
            )
        return ModelRows((a, b), skip)
    keys, others = _keys(a), _keys(b)
    order = _sorted_keys(a, keys)
    if np.array_equal(keys, others):
        return ModelRows((a, b), skip)
    other_order = _sorted_keys(b, others)
    positions = np.searchsorted(others, keys, sorter=other_order)
    found = positions < len(others)
    places = np.full(len(keys), -1, np.int64)
    places[found] = other_order[positions[found]]
    places[found & (others[places] != keys)] = -1
    unmatched = (places < 0).nonzero()[0]
    partners = np.zeros(len(others), bool)
    partners[places[places >= 0]] = True
    without = (~partners).nonzero()[0]
    del order, other_order, positions, found, partners
    if len(unmatched) or len(without):
        if not skip:
            raise PosteriorFileError(_lacking(a, b, unmatched, without))
        listed = _unmatched(a, b, without)
        return ModelRows((a, reordered(b, places)), skip, Skipped(len(without), listed))
    return ModelRows((a, reordered(b, places)), skip)


def check_shapes(a: Model, b: Model) -> None:
    """Raise a :class:`PosteriorFileError` if the events of two models differ."""
    if a.event_shape != b.event_shape:
        raise PosteriorFileError(
            f"{a.source} and {b.source}: latent shapes differ, {tuple(a.event_shape)} and {tuple(b.event_shape)}. A "
            "divergence needs two Gaussians on the same space."
        )


def _lacking(a: Model, b: Model, unmatched: "np.ndarray[Any, Any]", without: "np.ndarray[Any, Any]") -> str:
    rows, of, lacks = (unmatched, a, b) if len(unmatched) else (without, b, a)
    listed = ", ".join(repr(printable(_id_at(of, row))) for row in rows[:3].tolist())
    return (
        f"{lacks.source}: lacks {len(rows):,} of the ids of the other file, first {listed}. To join rows by order "
        "instead: --by-order; to leave these rows out: --on-bad skip."
    )


def _unmatched(a: Model, b: Model, without: "np.ndarray[Any, Any]") -> tuple[str, ...]:
    """The first ids of b that a does not have; those of a are told when its rows are read."""
    return tuple(
        f"id {printable(_id_at(b, row))!r} of {b.source} is not in {a.source}" for row in without[:10].tolist()
    )


def _id_at(model: Model, row: int) -> Any:
    return next(iter(model.ids_of(row, row + 1, 1)))[0]


def _keys(model: Model) -> "np.ndarray[Any, Any]":
    """64 bits for each id: an integer itself, of a string the hash of this process."""
    keys = np.empty(len(model), np.uint64)
    first = 0
    for ids in model.ids_of(0, len(model), _ROWS):
        if ids and isinstance(ids[0], str):
            part = np.fromiter(map(hash, ids), np.int64, len(ids)).view(np.uint64) ^ _OF_TEXT
        else:
            whole = ids if isinstance(ids, memoryview) else np.asarray([i & 2**64 - 1 for i in ids], np.uint64)
            part = np.asarray(whole).astype(np.uint64, copy=False)
        keys[first : first + len(ids)] = part
        first += len(ids)
    return keys


def _sorted_keys(model: Model, keys: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """The order that sorts them.

    Raises:
        PosteriorFileError: if two rows have the same id.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    for place in (ordered[1:] == ordered[:-1]).nonzero()[0].tolist():
        one, other = (_id_at(model, int(order[i])) for i in (place, place + 1))
        if one == other:
            name = model.key.name if isinstance(model, StoredModel) and model.key else "id"
            raise PosteriorFileError(f"{model.source}: {not_unique(name, one)}")
    return order


def reordered(model: Model, places: "np.ndarray[Any, Any]") -> Model:
    """The model with the rows at these places, in this order; -1 is a row that it does not have."""
    if isinstance(model, Posteriors) or len(model) * model.numbers_per_row <= _IN_MEMORY:
        whole = model.read()
        index = torch.from_numpy(np.maximum(places, 0))
        ids = None if whole.ids is None else [whole.ids[i] for i in index.tolist()]

        def images(rows: Iterable[int]) -> list[Any]:
            return whole.image_rows([int(index[row]) for row in rows])

        moved = Posteriors(model.name, model.source, whole.gaussian[index], ids, whole.images and images)
        return moved if (places >= 0).all() else _Lacking(moved, places)
    return _Sorted(model, places)


class _Wrapped(Model):
    """A model with other rows."""

    def __init__(self, model: Model, places: "np.ndarray[Any, Any]") -> None:
        self.name, self.source = model.name, model.source
        self._model, self._places = model, places

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

    @property
    def breaks(self) -> Sequence[int]:
        """Anywhere."""
        return range(len(self))

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """Those of the rows that the model has."""
        return self._model.image_rows([int(self._places[row]) for row in rows])

    def _lacks(self, start: int, stop: int) -> "torch.Tensor | None":
        """Which of these rows the model does not have."""
        lacking = self._places[start:stop] < 0
        return torch.from_numpy(lacking) if lacking.any() else None


class _Lacking(_Wrapped):
    """A model in memory with some rows that it does not have, which are told as such."""

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Slices."""
        for batch in self._model.batches(start, stop, size, skip=skip):
            end = start + len(batch.gaussian)
            bad = self._lacks(start, end)
            count = 0 if bad is None else int(bad.sum())
            yield ModelBatch(batch.gaussian, bad, (f"no partner in {self.source}",) * min(count, 10))
            start = end

    def image_rows(self, rows: Iterable[int]) -> "list[Any]":
        """Those of the rows, which are in this order already."""
        return self._model.image_rows(rows)


@dataclass(frozen=True)
class _Columns:
    """How the rows of a Gaussian are written: the type and the shape of each of its tensors."""

    template: Gaussian
    kinds: tuple[tuple[Any, tuple[int, ...]], ...]


class _Sorted(_Wrapped):
    """A stored model whose rows are sorted into temporary files, each of which holds a range of rows in any order."""

    def __init__(self, model: Model, places: "np.ndarray[Any, Any]") -> None:
        super().__init__(model, places)
        size = len(model) * model.numbers_per_row * 8
        warnings.warn(
            f"{model.source}: its rows are in another order than those of the other file; about {size / 1e9:.1f} GB "
            f"are sorted by id into {tempfile.gettempdir()}",
            stacklevel=2,
        )
        self._folder = Path(tempfile.mkdtemp(prefix="kullback-sorted-"))
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._rows = max(_ROWS, -(-len(places) // _FILES))
        self._is_bad = np.zeros(len(places), bool)
        self._columns = self._write()

    def _write(self) -> "_Columns":
        targets = np.full(len(self._model), -1, np.int64)
        has = (self._places >= 0).nonzero()[0]
        targets[self._places[has]] = has
        first, columns = 0, None
        for batch in self._model.batches(0, len(self._model), _ROWS, skip=True):
            g = batch.gaussian
            tensors = [g.mean, *(x for x, _ in g.scale.parts(g.event_dims))]
            arrays = [x.broadcast_to(len(g), *x.shape[1:]).contiguous().numpy() for x in tensors]
            columns = columns or _Columns(g[:0], tuple((x.dtype, x.shape[1:]) for x in arrays))
            rows = targets[first : first + len(g)]
            if batch.bad is not None:
                moved = rows[batch.bad.numpy()]
                self._is_bad[moved[moved >= 0]] = True
            self._append(rows, arrays)
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
                    with (self._folder / f"{file}.{name}").open("ab") as out:
                        out.write(x[chosen].tobytes())

    def _file(self, number: int) -> "tuple[list[np.ndarray[Any, Any]], int]":
        """The rows of one file in order, and the first of them."""
        start = number * self._rows
        count = min(self._rows, len(self) - start)
        path = self._folder / f"{number}.rows"
        rows = np.fromfile(path, np.int64) - start if path.exists() else np.empty(0, np.int64)
        if len(rows) != (self._places[start : start + count] >= 0).sum():
            raise FileNotFoundError(
                f"{self._folder}: not all rows that were sorted by id are here. Workers of a cluster read them: set "
                "TMPDIR to a folder that all of them see."
            )
        found = []
        for i, (dtype, shape) in enumerate(self._columns.kinds):
            sorted_rows = np.ones((count, *shape), dtype)
            if len(rows):
                sorted_rows[rows] = np.fromfile(self._folder / f"{number}.{i}", dtype).reshape(len(rows), *shape)
            found.append(sorted_rows)
        return found, start

    def batches(self, start: int, stop: int, size: int, *, skip: bool = False) -> Iterator[ModelBatch]:
        """Rows of the files, which are read one after another."""
        loaded, offset = -1, 0
        arrays: list[np.ndarray[Any, Any]] = []
        for first in range(start, stop, size):
            end = min(first + size, stop)
            pieces = []
            at = first
            while at < end:
                if at // self._rows != loaded:
                    loaded = at // self._rows
                    arrays, offset = self._file(loaded)
                until = min(end, offset + self._rows)
                pieces.append([x[at - offset : until - offset] for x in arrays])
                at = until
            tensors = iter([torch.from_numpy(np.concatenate(column)) for column in zip(*pieces, strict=True)])
            template = self._columns.template
            mean = next(tensors)
            scale = template.scale.map(lambda x, _, left=tensors: next(left), template.event_dims)  # type: ignore[misc]
            bad = self._is_bad[first:end] | (self._places[first:end] < 0)
            told = [self._told(row, skip=skip) for row in (first + np.flatnonzero(bad)[:10]).tolist()]
            is_bad = torch.from_numpy(bad) if told else None
            yield ModelBatch(Gaussian(mean, scale, template.event_dims), is_bad, tuple(told))

    def _told(self, row: int, *, skip: bool) -> str:
        """What is wrong with a row, which is read once more.

        Raises:
            PosteriorFileError: for a value that is not possible, unless ``skip`` is true.
        """
        place = int(self._places[row])
        if place < 0:
            return f"no partner in {self.source}"
        return next(iter(self._model.batches(place, place + 1, 1, skip=skip))).places[0]
