"""The rows of two models side by side: by their order, or by their ids."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kullback.errors import PosteriorFileError
from kullback.io.advice import BY_ORDER, ON_BAD
from kullback.io.model import ROWS_AT_ONCE, Model
from kullback.io.possible_ids import warn_of_possible_ids
from kullback.io.reordering import reordered
from kullback.io.rows import ModelRows, Skipped
from kullback.io.stored_model import not_unique
from kullback.io.text import printable

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

# Sets the keys of strings apart: the hash of the empty string is 0, which is the key of an integer.
_OF_TEXT = np.uint64(0x9E3779B97F4A7C15)


def alone(a: Model, *, skip: bool = False) -> ModelRows:
    """The rows of one model.

    Raises:
        PosteriorFileError: if two rows have the same id.
    """
    _check_ids(a)
    return ModelRows((a,), skip)


def joined(a: Model, b: Model, *, skip: bool = False) -> ModelRows:
    """The rows of a and b side by side, in the order of a.

    Rows are joined by their ids if both have some, and by order otherwise.

    Args:
        a: a model.
        b: another one.
        skip: whether rows are left out that only one of both has, or that have a value that is not possible.

    Raises:
        PosteriorFileError: if the rows cannot be joined: event shapes, numbers of rows, or ids differ; or if two rows
            of a model have the same id.
    """
    check_shapes(a, b)
    if not (a.has_ids and b.has_ids):
        if len(a) != len(b):
            raise PosteriorFileError(
                f"{a.source} has {len(a)} rows, {b.source} has {len(b)}. To join by order, both need the same number "
                "of rows; to join by identity, both need a column 'id', or --id NAME."
            )
        warn_of_possible_ids(a, b)
        _check_ids(a)
        _check_ids(b)
        return ModelRows((a, b), skip)
    places, partners = _places(a, b)
    if places is None:
        return ModelRows((a, b), skip)
    unmatched, without = (places < 0).nonzero()[0], (~partners).nonzero()[0]
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


def _places(a: Model, b: Model) -> "tuple[Array | None, Array]":
    """The row of b for each row of a, or -1, and which rows of b have one of a. None if each has that of its number.

    Raises:
        PosteriorFileError: if two rows of a model have the same id, or ids cannot be told apart.
    """
    ids, others = _keys(a), _keys(b)
    if ids.kinds and others.kinds and not ids.kinds & others.kinds:
        (kind, *_), (other, *_) = ids.kinds, others.kinds
        raise PosteriorFileError(
            f"the ids of {a.source} are {kind}, first {_id_at(a, 0)!r}, and those of {b.source} are {other}, first "
            f"{_id_at(b, 0)!r}. Save both as {kind} or both as {other}, or join rows by order: {BY_ORDER}."
        )
    low, high = min(ids.low, others.low), max(ids.high, others.high)
    if high - low >= 2**64:
        raise PosteriorFileError(
            f"{a.source} and {b.source}: integer ids from {low} to {high}, which need more than 64 bits. Give both "
            "files ids of one integer type, or strings."
        )
    _order(a, ids.keys)
    places, partners = None, np.ones(len(b), bool)
    if not np.array_equal(ids.keys, others.keys):
        other_order = _order(b, others.keys)
        positions = np.searchsorted(others.keys, ids.keys, sorter=other_order)
        found = positions < len(b)
        places = np.full(len(a), -1, np.int64)
        places[found] = other_order[positions[found]]
        places[found & (others.keys[places] != ids.keys)] = -1
        partners[:] = False
        partners[places[places >= 0]] = True
    if ids.are_hashes or others.are_hashes:
        has = np.ones(len(a), bool) if places is None else places >= 0
        if _total(a, has) != _total(b, partners):
            raise PosteriorFileError(
                f"{a.source} and {b.source}: two different ids have the same hash. Run again: Python hashes texts "
                "differently in each process, unless PYTHONHASHSEED is set."
            )
    return places, partners


def _lacking(a: Model, b: Model, unmatched: "Array", without: "Array") -> str:
    rows, of, lacks = (unmatched, a, b) if len(unmatched) else (without, b, a)
    listed = ", ".join(repr(printable(_id_at(of, row))) for row in rows[:3].tolist())
    return (
        f"{lacks.source}: lacks {len(rows):,} of the ids of the other file, first {listed}. To join rows by order "
        f"instead: {BY_ORDER}; to leave these rows out: {ON_BAD}."
    )


def _unmatched(a: Model, b: Model, without: "Array") -> tuple[str, ...]:
    """The first ids of b that a does not have; those of a are told when its rows are read."""
    return tuple(
        f"id {printable(_id_at(b, row))!r} of {b.source} is not in {a.source}" for row in without[:10].tolist()
    )


def _id_at(model: Model, row: int) -> Any:
    return next(iter(model.ids_of(row, row + 1, 1)))[0]


@dataclass(frozen=True, eq=False)
class _Keys:
    """64 bits for each id: an integer modulo 2**64, of a string the hash of this process."""

    keys: "Array"
    low: int
    """The smallest integer, or 0."""
    high: int
    """The largest integer, or 0."""
    kinds: frozenset[str]
    """What the ids are: integers, strings."""

    @property
    def are_hashes(self) -> bool:
        """Whether some ids are strings."""
        return "strings" in self.kinds


def _keys(model: Model) -> _Keys:
    keys = np.empty(len(model), np.uint64)
    first, low, high, kinds = 0, 0, 0, set[str]()
    for ids in model.ids_of(0, len(model), ROWS_AT_ONCE):
        if not len(ids):
            continue
        if isinstance(ids[0], str):
            part = np.fromiter(map(hash, ids), np.int64, len(ids)).view(np.uint64) ^ _OF_TEXT
            kinds.add("strings")
        else:
            kinds.add("integers")
            whole = np.asarray(ids if isinstance(ids, memoryview) else [i & 2**64 - 1 for i in ids])
            part = whole.astype(np.uint64, copy=False)
            ends = (whole.min(), whole.max()) if isinstance(ids, memoryview) else (min(ids), max(ids))
            low, high = min(low, int(ends[0])), max(high, int(ends[1]))
        keys[first : first + len(ids)] = part
        first += len(ids)
    return _Keys(keys, low, high, frozenset(kinds))


def _total(model: Model, chosen: "Array") -> int:
    """The sum of a second hash of the ids of the chosen rows."""
    total = first = 0
    for ids in model.ids_of(0, len(model), ROWS_AT_ONCE):
        part = chosen[first : first + len(ids)]
        total += sum(hash(f"{i}.") for i, is_chosen in zip(ids, part.tolist(), strict=True) if is_chosen)
        first += len(ids)
    return total


def _check_ids(model: Model) -> None:
    """Raise a :class:`PosteriorFileError` if two rows have the same id."""
    if model.has_ids:
        _order(model, _keys(model).keys)


def _order(model: Model, keys: "Array") -> "Array":
    """The order that sorts the keys.

    Raises:
        PosteriorFileError: if two rows have the same id.
    """
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    for place in (ordered[1:] == ordered[:-1]).nonzero()[0].tolist():
        one, other = (_id_at(model, int(order[i])) for i in (place, place + 1))
        if one == other:
            raise PosteriorFileError(f"{model.source}: {not_unique(model.id_name, one)}")
    return order
