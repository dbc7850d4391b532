"""Arrays of Arrow as arrays of NumPy, without a copy where these can hold them."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
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
        PosteriorFileError: if a value is missing, or lists differ in length.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    rows, shape = len(array), [len(array)]

    def error(item: int, says: str) -> PosteriorFileError:
        # Of nested lists, an item is one of several of a row.
        row = start + item * rows // max(1, len(array))
        return PosteriorFileError(f"column {printable(name)!r}, {place(row)}: {says}")

    while True:
        if isinstance(array, pa.ExtensionArray):
            tensor = list(getattr(array.type, "shape", ()))
            array = array.storage
            if tensor:
                _check_whole(array, error, "empty (null).")
                array = array.flatten()
                shape += tensor
                continue
        if array.null_count:
            says = "empty (null)." if len(shape) == 1 else "holds an empty number (null)."
            raise error(array.is_null().to_pylist().index(True), says)
        if not pa.types.is_nested(array.type) or pa.types.is_struct(array.type) or pa.types.is_map(array.type):
            break
        lengths = array.value_lengths().to_numpy(zero_copy_only=False)
        known = None if width is None or len(shape) > len(width) else width[len(shape) - 1]
        expected = known if known is not None else int(lengths[0]) if len(lengths) else 0
        if (lengths != expected).any():
            item = int((lengths != expected).argmax())
            raise error(item, f"{lengths[item]} numbers where row 0 has {expected}.")
        array = array.flatten()
        shape.append(expected)
    values = np.asarray(array.to_numpy(zero_copy_only=False))
    if is_own and pa.types.is_primitive(array.type) and not values.flags.writeable and array.buffers()[1].is_mutable:
        values = np.frombuffer(array.buffers()[1], values.dtype, len(array), array.offset * values.itemsize)
    return values.reshape(shape)


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
    return np.stack(columns, 1)


def _check_whole(array: Any, error: Callable[[int, str], PosteriorFileError], says: str) -> None:
    if array.null_count:
        raise error(array.is_null().to_pylist().index(True), says)
