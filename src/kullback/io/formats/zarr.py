"""Zarr stores, ``.zarr``: folders of arrays in chunks."""

import contextlib
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kullback.io.anndata import array_names
from kullback.io.optional import needed
from kullback.io.slices import Sliced

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place

SUFFIXES, IS_TABLE = (".zarr",), False


def read(path: "Place") -> "Columns":
    """The arrays of the store, those of groups as ``group/name``."""
    zarr = needed("zarr", "zarr")
    root = zarr.open(str(path), mode="r")
    if isinstance(root, zarr.Array):
        return {"array": ZarrArray(path, "")}
    found = [name for name, member in root.members(max_depth=None) if isinstance(member, zarr.Array)]
    names = array_names(sorted(found), lambda at: (root[at] if at != "/" else root).attrs)
    return {name: ZarrArray(path, at) for name, at in names.items()}


class ZarrArray(Sliced):
    """An array, whose chunks are read one after the other."""

    def __init__(self, path: "Place", at: str) -> None:
        self.path, self.at = path, at

    @functools.cached_property
    def chunk(self) -> int:
        """The rows of a chunk, or of a shard, which contains several."""
        with self.opened() as array:
            return int((array.shards or array.chunks or (1,))[0])

    @property
    def is_sliced(self) -> bool:
        """Whether there are several chunks."""
        return self.chunk < len(self)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Any]:
        """The array."""
        root = needed("zarr", "zarr").open(str(self.path), mode="r")
        yield root[self.at] if self.at else root
