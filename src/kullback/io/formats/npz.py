"""NumPy archives, ``.npz``; pickled members are refused."""

import functools
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from kullback.errors import PosteriorFileError
from kullback.io.formats.npy import check_whole
from kullback.io.text import printable

if TYPE_CHECKING:
    from io import BufferedReader

    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".npz",), "posteriors", False


def read(path: Path) -> "Columns":
    """The members of the archive."""
    import numpy as np

    with path.open("rb") as file:
        if file.read(2) != b"PK":
            raise PosteriorFileError("is no .npz archive.")
        file.seek(0)
        names = np.load(file, allow_pickle=False).files
    if len(set(names)) < len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise PosteriorFileError(f"has two members {printable(twice)!r}. Rename one.")
    return {name: functools.partial(_member, path, name) for name in names}


def _check_whole(file: IO[bytes], name: str) -> None:
    """Check that a member holds, decompressed, the array that its header announces, and fits into memory."""
    with zipfile.ZipFile(file) as archive:
        info = next(info for info in archive.infolist() if info.filename.removesuffix(".npy") == name)
        with archive.open(info) as member:
            if cast("BufferedReader", member).peek(6)[:6] == b"\x93NUMPY":
                check_whole(member, info.file_size)
    file.seek(0)


def _member(path: Path, name: str) -> "Column":
    import numpy as np

    with path.open("rb") as file:
        _check_whole(file, name)
        try:
            array = np.load(file, allow_pickle=False)[name]
        except ValueError as error:
            if "allow_pickle" in str(error):
                raise PosteriorFileError(
                    f"column {printable(name)!r} is pickled, and kullback never unpickles. Save an array of numbers."
                ) from None
            raise
    if not isinstance(array, np.ndarray):
        raise PosteriorFileError(f"member {printable(name)!r} is no array.")
    return array
