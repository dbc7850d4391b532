"""NumPy arrays, ``.npy``."""

from pathlib import Path

import numpy as np

from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".npy",), "samples", False


def read(path: Path) -> Columns:
    """The one array."""

    def array() -> Column:
        with path.open("rb") as file:
            loaded: Column = np.lib.format.read_array(file, allow_pickle=False)
            return loaded

    return {"array": array}
