"""NumPy arrays, ``.npy``."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.formats.registry import Unnamed
from kullback.io.slices import Layout, RawRows

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place

SUFFIXES, IS_TABLE = (".npy",), False


def read(path: "Place") -> "Columns":
    """The array of the file, as one column."""
    return Unnamed(array=NpyRows(path))


class NpyRows(RawRows):
    """The array of a file, read by slices where its rows lie one after the other."""

    @functools.cached_property
    def header(self) -> tuple[Layout, bool]:
        """Where the numbers lie, and whether they lie in the order of Fortran, column after column."""
        with self.path.open("rb") as file:
            layout, is_fortran = npy_header(file)
            if layout.offset + layout.size > file.seek(0, 2):
                raise EOFError(f"it ends early: an array of shape {layout.shape} has {layout.size:,} bytes")
            return layout, is_fortran

    @property
    def layout(self) -> Layout:  # noqa: D102
        return self.header[0]

    @property
    def is_sliced(self) -> bool:
        """Whether rows lie one after the other, or can be mapped into memory."""
        return not self.header[1] or isinstance(self.path, Path)

    @contextlib.contextmanager
    def opened(self) -> "Iterator[Any]":
        """The rows of the open file, or, in the order of Fortran, the mapped or the whole array."""
        import numpy as np

        layout, is_fortran = self.header
        if not is_fortran:
            with super().opened() as rows:
                yield rows
        elif isinstance(self.path, Path):
            yield _Copied(np.memmap(self.path, layout.dtype, "r", layout.offset, layout.shape, order="F"))
        else:
            with self.path.open("rb") as file:
                yield np.lib.format.read_array(file, allow_pickle=False)


class _Copied:
    """An array that is mapped from a file, whose slices are copied."""

    def __init__(self, mapped: Any) -> None:
        self._mapped, self.shape, self.dtype = mapped, mapped.shape, mapped.dtype

    def __getitem__(self, rows: Any) -> Any:
        import numpy as np

        return np.array(self._mapped[rows], order="C")


def npy_header(file: IO[bytes]) -> tuple[Layout, bool]:
    """Where the numbers of a ``.npy`` file lie, and whether in the order of Fortran.

    Raises:
        PosteriorFileError: if it holds pickled objects.
        ValueError: if it is no header of an array.
    """
    from numpy.lib import format as npy

    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    if dtype.hasobject:
        raise PosteriorFileError("is pickled, and kullback never unpickles. Save an array of numbers.")
    if min(shape, default=0) < 0:
        raise ValueError(f"its shape is {shape}")
    return Layout(file.tell(), dtype, shape), is_fortran
