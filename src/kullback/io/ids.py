"""The ids of rows: integers or strings of a column."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.advice import NO_IDS
from kullback.io.formats.registry import naming
from kullback.io.missing import is_null
from kullback.io.named_column import NamedColumn
from kullback.io.numbers import is_floating, is_integer
from kullback.io.places import Place
from kullback.io.text import printable, unwritable_row

if TYPE_CHECKING:
    from kullback.io.stored import Column


def ids_of_column(key: NamedColumn, path: Place, start: int, stop: int, size: int) -> Iterator[Sequence[Any]]:
    """The ids of consecutive rows, in batches.

    Raises:
        PosteriorFileError: if they are not all integers, which floating-point numbers may hold, or all strings.
    """
    first = start
    batches = key.rows(path, start, stop, size)
    for column in batches:
        with naming(path):
            if column.ndim == 1 and is_floating(column):
                column = _whole(column, key, first)
            ids = _ids(column, key, first)
        first += len(ids)
        yield ids


def _whole(column: "Column", of: NamedColumn, first: int) -> "Column":
    """Integers that are stored as floating-point numbers, as pandas does if one was missing once."""
    values = np.asarray(column.double() if isinstance(column, Tensor) else column, np.float64)
    digits = _digits(column)
    # Above this, other integers are stored as the same number.
    wrong = ~(np.abs(values) < 2.0**digits) | (values != np.floor(values))
    if not wrong.any():
        return values.astype(np.int64)
    row = int(wrong.argmax())
    value = float(values[row])
    if math.isfinite(value) and value == math.floor(value):
        where = _where(of, first + row)
        raise PosteriorFileError(
            f"{where}: {value:.0f} is too large to be exact as a number of {digits} bits; {NO_IDS}"
        )
    raise _no_id(of, first + row, value)


def _digits(column: "Column") -> int:
    """How many binary digits the numbers of a floating-point column have."""
    import torch

    eps = torch.finfo(column.dtype).eps if isinstance(column, Tensor) else np.finfo(column.dtype).eps
    return 1 - round(math.log2(float(eps)))


def _where(of: NamedColumn, row: int) -> str:
    return f"column {printable(of.name)!r}, {of.stored.place(row)}"


def _no_id(of: NamedColumn, row: int, value: Any) -> PosteriorFileError:
    if value is None or is_null(value):
        return PosteriorFileError(
            f"{_where(of, row)}: empty (null); every row needs an id. Fill it, or leave its row out."
        )
    return PosteriorFileError(f"{_where(of, row)}: {printable(value)!r}; {NO_IDS}")


def _ids(column: "Column", of: NamedColumn, first: int) -> Sequence[Any]:
    """A column as a sequence of ids, integers or strings of Python; integers stay where they lie."""
    if not isinstance(column, Tensor):
        unwritable = unwritable_row(column)
        if unwritable is not None:
            raise PosteriorFileError(f"{_where(of, first + unwritable)}: is text that is not Unicode.")
        if column.dtype.kind in "mM":
            raise PosteriorFileError(f"column {printable(of.name)!r} holds times; {NO_IDS}")
    if column.ndim == 1 and is_integer(column):
        array = np.asarray(column)
        return memoryview(array.astype(array.dtype.newbyteorder("="), copy=False))  # type: ignore[arg-type]
    values = column.tolist()
    if not isinstance(values, list):
        raise PosteriorFileError(f"column {printable(of.name)!r} must hold one id for each row.")
    if not values:
        return values
    kind = str if isinstance(values[0], str) else int
    if set(map(type, values)) == {kind}:
        return values
    wrong = next((row for row, v in enumerate(values) if not isinstance(v, kind) or isinstance(v, bool)), None)
    if wrong is not None:
        raise _no_id(of, first + wrong, values[wrong])
    return values
