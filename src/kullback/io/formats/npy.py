"""NumPy arrays, ``.npy``."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".npy",), "samples", False


def read(path: Path) -> "Columns":
    """The array of the file, as one column."""

    def array() -> "Column":
        import numpy as np

        with path.open("rb") as file:
            check_whole(file, path.stat().st_size)
            loaded: Column = np.lib.format.read_array(file, allow_pickle=False)
            return loaded

    return {"array": array}


def check_whole(file: "IO[bytes]", held: int) -> None:
    """Check that a file of so many bytes holds the array that its header announces, before memory is taken for it.

    Raises:
        EOFError: if it does not.
        MemoryError: if the array does not fit into memory.
    """
    import math

    from numpy.lib import format as npy

    from kullback.numerics.memory import check_room

    version = npy.read_magic(file)
    shape, _, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    size = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and size + file.tell() > held:
        raise EOFError(f"it ends early: an array of shape {shape} and type {dtype} has {size:,} bytes")
    check_room(size, f"an array of shape {shape}")
    file.seek(0)
