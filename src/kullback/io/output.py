"""Writing of results. A file appears under its name only when it is complete."""

import contextlib
import csv
import json
import math
import os
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


T = TypeVar("T")


def json_of(numbers: Any) -> str:
    """Numbers, lists and strings as JSON; null for a number that is not finite."""
    return json.dumps(finite(numbers), indent=2, ensure_ascii=False, allow_nan=False)


def finite(x: T) -> T:
    """``x`` with None for every number in it that is not finite, which JSON cannot express."""
    if isinstance(x, dict):
        return cast(T, {key: finite(value) for key, value in x.items()})
    if isinstance(x, list):
        return cast(T, [finite(value) for value in x])
    return cast(T, None) if isinstance(x, float) and not math.isfinite(x) else x


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path that replaces ``path`` when the block ends, and is deleted if the block raises an exception."""
    named, path = path, Path(os.path.realpath(path))
    try:
        handle, temporary = tempfile.mkstemp(prefix=".kullback-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise PosteriorFileError(f"{printable(named)}: cannot be written: {error.strerror}.") from error
    os.close(handle)
    try:
        yield Path(temporary)
        # mkstemp creates private files. Give this one the permissions of the file it replaces, or of a new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, completely or not at all.

    A byte of the name of a file that is not UTF-8 is written as an escape sequence, which in JSON means the same.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(path: str | os.PathLike[str], suffixes: Sequence[str]) -> None:
    """Check, before any work is done, that ``path`` can be written and has one of these suffixes.

    Raises:
        PosteriorFileError: if it cannot or has not.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file to write; known are {', '.join(suffixes)}.")
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = None
    except OSError as error:
        raise PosteriorFileError(f"{printable(path)}: cannot be written: {error.strerror}.") from error
    # A link is followed, and what it leads to is written.
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise PosteriorFileError(f"{printable(path)}: there is no folder {printable(folder)}.")
    if mode is not None and stat.S_ISDIR(mode):
        raise PosteriorFileError(f"{printable(path)}: is a folder.")
    if mode is not None and not stat.S_ISREG(mode):
        raise PosteriorFileError(f"{printable(path)}: is a pipe or a device, which a file cannot replace.")
    if not os.access(folder, os.W_OK):
        raise PosteriorFileError(f"{printable(path)}: the folder {printable(folder)} is not writable.")


def _write_npz(path: Path, ids: Sequence[Any], values: "Tensor", name: str) -> None:
    import numpy as np

    columns = {"id": _id_array(ids), name: values.numpy()}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **columns)


def _write_parquet(path: Path, ids: Sequence[Any], values: "Tensor", name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table({"id": _id_array(ids), name: values.numpy()}), path)


def _write_csv_file(path: Path, ids: Sequence[Any], values: "Tensor", name: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(file, ids, values, name)


_WRITERS: dict[str, Callable[[Path, Sequence[Any], "Tensor", str], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv_file,
}

ROW_SUFFIXES = tuple(_WRITERS)
"""The suffixes of files that :func:`write_rows` can write."""


def write_rows(path: str | os.PathLike[str], ids: Sequence[Any], values: "Tensor", name: str = "kl") -> None:
    """Write the id of each row and the value of one divergence, completely or not at all.

    The suffix of the path, one of ``ROW_SUFFIXES``, determines the format.
    """
    check_writable(path, ROW_SUFFIXES)
    with whole_file(path) as temporary:
        _WRITERS[Path(path).suffix.lower()](temporary, ids, values, name)


def write_csv(file: Any, ids: Sequence[Any], values: "Tensor", name: str = "kl") -> None:
    """Write rows of ``id,<name>``, each number with as many digits as are needed to read back the same number."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", name])
    writer.writerows(zip(ids, (str(x) for x in values.numpy()), strict=True))


def _id_array(ids: Sequence[Any]) -> "np.ndarray[Any, Any]":
    import numpy as np

    # NumPy would by itself convert a list with integers of 64 unsigned bits to float64.
    unsigned = isinstance(ids[0], int) and max(ids) > np.iinfo(np.int64).max
    return np.asarray(ids, dtype=np.uint64 if unsigned else None)
