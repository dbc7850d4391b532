"""Results into files: a file takes its name only when it is whole."""

import contextlib
import csv
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

ROW_KINDS = (".npz", ".parquet", ".csv")


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path = Path(path).resolve()
    handle, temporary = tempfile.mkstemp(prefix=".kullback-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(temporary)
        # mkstemp makes files private; a result has the permissions of what it replaces, or of any new file.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, path.stat().st_mode if path.exists() else 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def check_writable(path: str | os.PathLike[str], kinds: Sequence[str]) -> None:
    """Raise before any work is done if ``path`` cannot become a file of one of these kinds."""
    path = Path(path)
    if path.suffix.lower() not in kinds:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file to write; known are {', '.join(kinds)}.")
    if not path.parent.is_dir():
        raise PosteriorFileError(f"{printable(path)}: there is no folder {printable(path.parent)}.")
    if path.is_dir():
        raise PosteriorFileError(f"{printable(path)}: is a folder.")
    if not os.access(path.parent, os.W_OK):
        raise PosteriorFileError(f"{printable(path)}: the folder {printable(path.parent)} is not writable.")


def write_rows(path: str | os.PathLike[str], ids: Sequence[Any], values: Tensor, name: str = "kl") -> None:
    """Write one divergence for each row and its id as ``.npz``, ``.parquet`` or ``.csv``; whole or not at all."""
    check_writable(path, ROW_KINDS)
    kind, columns = Path(path).suffix.lower(), {"id": _id_array(ids), name: values.numpy()}
    with whole_file(path) as temporary:
        if kind == ".npz":
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **columns)
        elif kind == ".parquet":
            import pyarrow as pa
            import pyarrow.parquet

            pyarrow.parquet.write_table(pa.table(columns), temporary)
        else:
            with temporary.open("w", encoding="utf-8", newline="") as text:
                write_csv(text, ids, values, name)


def _id_array(ids: Sequence[Any]) -> np.ndarray[Any, Any]:
    # Left to itself NumPy makes floats of integers that need all 64 bits.
    unsigned = isinstance(ids[0], int) and max(ids) > np.iinfo(np.int64).max
    return np.asarray(ids, dtype=np.uint64 if unsigned else None)


def write_csv(file: Any, ids: Sequence[Any], values: Tensor, name: str = "kl") -> None:
    """Rows ``id,<name>``, each number with as many digits as it takes to read it back."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["id", name])
    writer.writerows(zip(ids, (str(x) for x in values.numpy()), strict=True))
