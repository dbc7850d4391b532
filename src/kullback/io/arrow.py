"""Arrays of Arrow as arrays of NumPy, without a copy where these can hold them."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.missing import with_nulls
from kullback.io.no_numbers import are_others, no_numbers
from kullback.io.text import printable

if TYPE_CHECKING:
    import numpy as np


def one_of_each(names: Iterable[str]) -> list[str]:
    """The names of the columns of a table.

    Raises:
        PosteriorFileError: if two columns have the same.
    """
    names = list(names)
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise PosteriorFileError(f"has two columns {printable(twice)!r}. Rename one.")
    return names


def arrow_array(
    array: Any,
    name: str,
    place: Callable[[int], str] = "row {:,}".format,
    start: int = 0,
    width: "tuple[int, ...] | None" = None,
    *,
    is_own: bool = False,
) -> "np.ndarray[Any, Any]":
    """A column, or rows of it, as an array; a column of lists, of equal lengths, has more dimensions.

    Args:
        array: the rows.
        name: the name of the column.
        place: where a row of the column is, for an error.
        start: which row of the column the first is.
        width: the shape of a row before them, if it is known.
        is_own: whether nobody else has the memory of the rows: then the array may be written, where that is possible.

    Raises:
        PosteriorFileError: if a value is missing that is no number, or lists differ in length.
    """
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)

    def error(row: int, says: str) -> PosteriorFileError:
        return PosteriorFileError(f"column {printable(name)!r}, {place(start + row)}: {says}")

    return _values(array, error, width, is_own=is_own)


def _values(
    array: Any,
    error: Callable[[int, str], PosteriorFileError],
    width: "tuple[int, ...] | None",
    *,
    is_own: bool,
) -> "np.ndarray[Any, Any]":
    """An array of Arrow, in which numbers that are missing, also those of a list that is, are NULL."""
    import numpy as np
    import pyarrow as pa

    event = list(getattr(array.type, "shape", ()))
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    is_list = pa.types.is_nested(array.type) and not (pa.types.is_struct(array.type) or pa.types.is_map(array.type))
    missing = array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None
    if missing is not None:
        first = int(missing.argmax())
        if pa.types.is_null(array.type):
            array = array.cast(pa.float64())
        if not (is_list or pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
            raise error(first, "empty (null); fill it, or leave its row out of the file.")
    present = array if missing is None else array.drop_null()
    if is_list:
        is_fixed = pa.types.is_fixed_size_list(array.type)
        known = width[0] if width and not event else array.type.list_size if is_fixed else None
        if known is None and missing is not None and not len(present):
            raise error(
                first,
                "empty (null), as are all rows near it, so that nothing says how many numbers a row has; leave these "
                "rows out of the file.",
            )
        rows = np.arange(len(array)) if missing is None else (~missing).nonzero()[0]
        lengths = present.value_lengths().to_numpy(zero_copy_only=False)
        expected = known if known is not None else int(lengths[0]) if len(lengths) else 0
        if (lengths != expected).any():
            wrong = int((lengths != expected).argmax())
            raise error(
                int(rows[wrong]),
                f"{lengths[wrong]} numbers where row 0 has {expected}; all rows need as many. Mend it, or leave it "
                "out.",
            )
        event = event or [expected]
        values = _values(
            present.flatten(),
            # Of nested lists, an item is one of several of a row.
            lambda item, says: error(int(rows[item // max(1, math.prod(event))]), says),
            width[len(event) :] if width else None,
            is_own=is_own,
        )
        values = values.reshape(len(present), *event, *values.shape[1:])
    else:
        values = np.asarray(present.to_numpy(zero_copy_only=False))
        if is_own and pa.types.is_primitive(present.type) and not values.flags.writeable:
            buffer = present.buffers()[1]
            if buffer.is_mutable:
                values = np.frombuffer(buffer, values.dtype, len(present), present.offset * values.itemsize)
    return values if missing is None else with_nulls(values, missing)


def arrow_rows(
    batch: Any,
    names: tuple[str, ...],
    place: Callable[[int], str],
    start: int,
    width: "tuple[int, ...] | None",
) -> "np.ndarray[Any, Any]":
    """Rows of a column of a record batch of a file; of several columns of single numbers, these side by side."""
    import numpy as np

    if len(names) == 1:
        return arrow_array(batch.column(names[0]), names[0], place, start, width, is_own=True)
    columns = [arrow_array(batch.column(name), name, place, start) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.ndim != 1:
            raise PosteriorFileError(f"column {printable(name)!r} holds lists, where others hold single numbers.")
        if are_others(column):
            raise no_numbers(name, place, [column], start)
    return np.stack(columns, 1)
