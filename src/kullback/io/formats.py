"""The columns of a file, whatever kind of file it is: one reader for each kind, reading only what is asked for."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.text import printable

Column = Tensor | np.ndarray[Any, Any]
T = TypeVar("T")


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Says which file an error is about."""
    try:
        yield
    except PosteriorFileError as error:
        message = str(error)
        where = f"{printable(path)}: "
        raise PosteriorFileError(message if message.startswith(where) else where + message) from None


def safely(path: Path, read: Callable[[], T]) -> T:
    """What ``read`` gives. Whatever else it raises is the fault of the file, which nobody has checked before."""
    with naming(path):
        try:
            return read()
        except PosteriorFileError:
            raise
        except Exception as error:
            reason = printable(str(error).strip().split("\n")[0])[:160] or type(error).__name__
            raise PosteriorFileError(f"cannot be read as {path.suffix}, or is damaged ({reason}).") from error


def _read_npz(path: Path) -> dict[str, Callable[[], Column]]:
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise PosteriorFileError("is no .npz archive.")
        file.seek(0)
        names = np.load(file, allow_pickle=False).files
    return {name: functools.partial(_npz_member, path, name) for name in names}


def _npz_member(path: Path, name: str) -> Column:
    with path.open("rb") as file:
        try:
            array = np.load(file, allow_pickle=False)[name]
        except ValueError as error:
            if "allow_pickle" in str(error):
                raise PosteriorFileError(f"column {printable(name)!r} is pickled, and never unpickled.") from None
            raise
    if not isinstance(array, np.ndarray):
        raise PosteriorFileError(f"member {printable(name)!r} is no array.")
    return array


def _read_safetensors(path: Path) -> dict[str, Callable[[], Column]]:
    from safetensors import safe_open

    def tensor(name: str) -> Column:
        with safe_open(path, framework="pt") as file:
            return cast(Tensor, file.get_tensor(name))

    with safe_open(path, framework="pt") as file:
        return {name: functools.partial(tensor, name) for name in file.keys()}


def _read_pt(path: Path) -> dict[str, Callable[[], Column]]:
    import pickle

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickles that it then refuses
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise PosteriorFileError(
            "holds more than tensors, or is damaged; it is loaded with weights_only=True. Save a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        ) from None
    if isinstance(loaded, Tensor):
        return {"tensor": loaded.detach}
    if not isinstance(loaded, dict):
        raise PosteriorFileError(
            f"holds a {type(loaded).__name__}, expected a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        )
    table: dict[str, Any] = {}
    for key, value in loaded.items():
        # One dict for each model is a common way of saving two.
        table |= {f"{key}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {str(key): value}
    return {
        name: functools.partial(lambda x: x.detach() if isinstance(x, Tensor) else np.asarray(x), x)
        for name, x in table.items()
        if isinstance(x, (Tensor, list))
    }


def _read_parquet(path: Path) -> dict[str, Callable[[], Column]]:
    import pyarrow.parquet

    def column(name: str) -> Column:
        return arrow_column(name, pyarrow.parquet.read_table(path, columns=[name]).column(0))

    with pyarrow.parquet.ParquetFile(path) as file:
        return {name: functools.partial(column, name) for name in file.schema_arrow.names}


def arrow_column(name: str, column: Any) -> Column:
    """A column of a table as an array; lists of equal lengths as its rows."""
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: empty (null).")
    if not (
        pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type)
    ):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    values = array.flatten()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths != lengths[0]).any():
        row = int((lengths != lengths[0]).argmax())
        raise PosteriorFileError(
            f"column {printable(name)!r}, row {row}: {lengths[row]} numbers where row 0 has {lengths[0]}."
        )
    width = int(lengths[0]) if len(lengths) else 0
    if values.null_count:
        row = values.is_null().to_pylist().index(True) // width
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: holds an empty number (null).")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(array), width)


Reader = Callable[[Path], dict[str, Callable[[], Column]]]


def open_columns(path: Path, readers: dict[str, Reader]) -> dict[str, Callable[[], Column]]:
    """The columns of a file of one of these kinds, each of which is read when it is called."""
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file; known are {', '.join(readers)}.")
    if not path.is_file():
        raise PosteriorFileError(f"{printable(path)}: no such file.")
    return safely(path, lambda: reader(path))


READERS: dict[str, Reader] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pt": _read_pt,
    ".pth": _read_pt,
    ".parquet": _read_parquet,
}
