"""A matrix that is written block by block into a file, which has its name only when all blocks are there."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kullback._version import __version__

SUFFIXES = (".zarr", ".npy")

# Rows and columns of a chunk of a Zarr array: up to 4 MiB in float32.
_CHUNK = 1024

Write = Callable[[tuple[slice, slice], torch.Tensor], None]


@contextlib.contextmanager
def matrix_file(path: Path, shape: tuple[int, int], dtype: torch.dtype, attributes: dict[str, Any]) -> Iterator[Write]:
    """What writes a block, at these rows and columns, into a new Zarr array or NumPy file.

    It is written under another name beside ``path``, whose place it takes at the end; it is deleted if the block
    raises an exception.

    Raises:
        ValueError: for another suffix, or a folder that there is not.
        ImportError: if Zarr is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"out is a path that ends in {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"out={str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
    opened = _zarr if path.suffix.lower() == ".zarr" else _npy
    name = str(dtype).removeprefix("torch.")
    with _published(path.absolute()) as temporary:
        yield opened(temporary, shape, name, {**attributes, "kullback": __version__})


def _zarr(path: Path, shape: tuple[int, int], dtype: str, attributes: dict[str, Any]) -> Write:
    try:
        import zarr
    except ImportError as error:
        raise ImportError("a .zarr array needs Zarr: pip install 'kullback[zarr]'.") from error
    chunks = tuple(max(1, min(size, _CHUNK)) for size in shape)
    array = zarr.create_array(store=str(path), shape=shape, chunks=chunks, dtype=dtype, attributes=attributes)

    def write(place: tuple[slice, slice], values: torch.Tensor) -> None:
        array[place] = values.cpu().numpy()

    return write


def _npy(path: Path, shape: tuple[int, int], dtype: str, attributes: dict[str, Any]) -> Write:
    import numpy as np

    if 0 in shape:
        np.save(path, np.empty(shape, dtype))
        return lambda place, values: None
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)

    def write(place: tuple[slice, slice], values: torch.Tensor) -> None:
        array[place] = values.cpu().numpy()
        array.flush()

    return write


@contextlib.contextmanager
def _published(path: Path) -> Iterator[Path]:
    """A path in a temporary folder beside ``path``, whose place it takes when the block ends without an exception."""
    folder = Path(tempfile.mkdtemp(prefix=".kullback-", dir=path.parent))
    try:
        yield folder / path.name
        if path.is_dir():  # an older array, which a rename cannot replace
            os.replace(path, folder / "replaced")
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
