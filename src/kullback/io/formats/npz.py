"""NumPy archives, ``.npz``; pickled members are refused."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

if TYPE_CHECKING:
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
    return {name: functools.partial(_member, path, name) for name in names}


def _member(path: Path, name: str) -> "Column":
    import numpy as np

    with path.open("rb") as file:
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
