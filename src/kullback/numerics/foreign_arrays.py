"""Arrays and tables of other libraries as NumPy arrays or tensors; none of them is imported.

Whatever NumPy can read is read through its protocol: xarray, JAX and the columns of tables. Three things are done
beside. Tables of pandas, polars and pyarrow are read column by column, so that a column that holds no numbers is named,
and so is a missing value. The bfloat16 of JAX, which NumPy has no type for, is kept. And what NumPy must not copy from
its device, as arrays of CuPy, becomes a tensor there by DLPack.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from kullback.numerics.classes import PLAIN, class_names


def is_array(x: Any) -> bool:
    """Whether an object is a tensor, or is an array to NumPy or to DLPack; lists are not."""
    return isinstance(x, Tensor) or hasattr(x, "__array__") or hasattr(x, "__dlpack__")


def read_array(x: Any, name: str) -> np.ndarray[Any, Any] | Tensor:
    """An array or a list as NumPy reads it; a tensor if NumPy cannot hold it.

    Raises:
        TypeError: for what NumPy cannot read, and for a column of a table that holds no numbers.
        ValueError: for a ragged list, and for a missing value in a table.
    """
    if not isinstance(x, PLAIN):
        columns = _columns(x)
        if columns is not None:
            arrays = _numbers([(f"{name}: ", f"column {label!r}", column) for label, column in columns])
            return np.stack(arrays, -1) if arrays else np.empty((len(x), 0))
        if _is_column(x):
            return _numbers([("", name, x)])[0]
    if not hasattr(x, "__array__") and hasattr(x, "__dlpack__"):
        return _by_dlpack(x, name)
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: {error}") from None
    except TypeError as error:
        if "Tracer" in class_names(x, "jax"):
            raise TypeError(
                f"{name} is traced by JAX, and has no values yet: divergences are computed by torch. Call outside of "
                "jit, grad and vmap, and take gradients with torch."
            ) from None
        if hasattr(x, "__dlpack__"):  # arrays of CuPy, which are not copied from their device unasked
            return _by_dlpack(x, name)
        raise TypeError(
            f"{name} is a {type(x).__name__}, and no array: {(str(error).splitlines() or [''])[0]}"
        ) from None
    if array.dtype.kind == "V" and array.dtype.name == "bfloat16":
        # The dtype is of ml_dtypes, which torch does not know; the bits are those of torch's.
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return array


def columns_by_name(x: Any, name: str) -> dict[Any, Callable[[], np.ndarray[Any, Any]]] | None:
    """The columns of a table, each as a function that reads it; None for anything else.

    The functions raise as :func:`read_array` does.
    """
    columns = _columns(x)
    if columns is None:
        return None
    return {label: functools.partial(_only, f"{name}: ", f"column {label!r}", each) for label, each in columns}


def _by_dlpack(x: Any, name: str) -> Tensor:
    try:
        tensor: Tensor = from_dlpack(x)
    except (BufferError, RuntimeError) as error:
        raise TypeError(
            f"{name} is a {type(x).__module__}.{type(x).__name__} that this torch cannot take from its device by "
            f"DLPack: {error}. Copy it to a NumPy array."
        ) from None
    return tensor


def hint(x: Any, name: str) -> str:
    """What to do about an object that is no array, but becomes one; empty if nothing is known."""
    return f" Collect it first: {name}.collect()." if callable(getattr(x, "collect", None)) else ""


def _columns(x: Any) -> Iterator[tuple[Any, Any]] | None:
    """The columns of a table of pandas, polars or pyarrow and their names; None for anything else."""
    if "DataFrame" in class_names(x, "pandas"):
        return ((label, column) for label, column in x.items())
    if class_names(x, "pyarrow") & {"Table", "RecordBatch"}:
        return zip(x.column_names, x.columns, strict=True)
    return ((c.name, c) for c in x.iter_columns()) if "DataFrame" in class_names(x, "polars") else None


def _is_column(x: Any) -> bool:
    of_arrow = class_names(x, "pyarrow") & {"Array", "ChunkedArray"}
    return "Series" in class_names(x, "pandas") | class_names(x, "polars") or bool(of_arrow)


def _only(start: str, called: str, column: Any) -> np.ndarray[Any, Any]:
    return _numbers([(start, called, column)])[0]


def _numbers(columns: Sequence[tuple[str, str, Any]]) -> list[np.ndarray[Any, Any]]:
    """Columns as arrays of numbers; beside each what an error begins with, and what it calls the column."""
    arrays = [_array(column, start + called) for start, called, column in columns]
    others = [
        (start, f"{called} holds {_type(column)}")
        for array, (start, called, column) in zip(arrays, columns, strict=True)
        if array.dtype.kind not in "fiu"
    ]
    if others:
        held = ", ".join(what for _, what in others)
        them = "it" if len(others) == 1 else "them"
        raise TypeError(f"{others[0][0]}{held}, no real numbers. Leave {them} out, or make numbers of {them}.")
    return arrays


def _type(column: Any) -> Any:
    return column.type if class_names(column, "pyarrow") else column.dtype


def _array(column: Any, where: str) -> np.ndarray[Any, Any]:
    """A column of a table as an array, of which no value is missing."""
    of_pandas, kind = bool(class_names(column, "pandas")), _type(column)
    kept_as_numpy = isinstance(kind, np.dtype)
    if not kept_as_numpy:
        missing = np.asarray(column.isna() if of_pandas else column.is_null())
        if missing.any():
            raise ValueError(
                f"{where} has no value in row {int(missing.argmax())}; {int(missing.sum())} of {len(missing)} values "
                "are missing. Leave those rows out, or say what they are."
            )
    if of_pandas and not kept_as_numpy and kind.kind in "fiu":
        # Types of pandas' own are objects to NumPy.
        widest = np.dtype(getattr(kind, "numpy_dtype", np.float64))
        return np.asarray(column.to_numpy(dtype=widest))
    return np.asarray(column)
