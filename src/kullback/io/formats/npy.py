"""NumPy arrays, ``.npy``."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".npy",), "samples", False


def read(path: Path) -> "Columns":
    """The array of the file, as one column."""

    def array() -> "Column":
        import numpy as np

        with path.open("rb") as file:
            loaded: Column = np.lib.format.read_array(file, allow_pickle=False)
            return loaded

    return {"array": array}
