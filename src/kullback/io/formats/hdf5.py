"""HDF5 files, ``.h5`` and ``.hdf5``, and AnnData, ``.h5ad``, which are such files."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.io.anndata import array_names
from kullback.io.optional import needed
from kullback.io.slices import Sliced

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place

SUFFIXES, IS_TABLE = (".h5", ".hdf5", ".h5ad"), False


def read(path: "Place") -> "Columns":
    """The data sets of the file, those of groups as ``group/name``."""
    h5py = needed("h5py", "hdf5")
    found: list[str] = []

    def note(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(name)

    with _opened(path) as file:
        file.visititems(note)
        names = array_names(found, lambda at: file[at].attrs)
    return {name: Dataset(path, at) for name, at in names.items()}


class Dataset(Sliced):
    """A data set, whose chunks, if it has some, are read one after the other."""

    def __init__(self, path: "Place", at: str) -> None:
        self.path, self.at = path, at

    @functools.cached_property
    def chunk(self) -> int:
        """The rows of a chunk."""
        with _opened(self.path) as file:
            return int((file[self.at].chunks or (1,))[0])

    @property
    def is_sliced(self) -> bool:
        """Whether there are several chunks."""
        return self.chunk < len(self)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """The data set; one of text as text."""
        h5py = needed("h5py", "hdf5")
        with _opened(self.path) as file:
            data = file[self.at]
            yield data.asstr() if h5py.check_string_dtype(data.dtype) is not None else data


@contextlib.contextmanager
def _opened(path: "Place") -> Iterator[Any]:
    h5py = needed("h5py", "hdf5")
    if isinstance(path, Path):
        with h5py.File(path, "r") as file:
            yield file
    else:
        with path.open("rb") as opened, h5py.File(opened, "r") as file:
            yield file
