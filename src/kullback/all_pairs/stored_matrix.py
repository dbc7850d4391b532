"""A matrix that is written block by block into a file, which has its name only when all blocks are there."""

import contextlib
import functools
import itertools
import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kullback._version import __version__
from kullback.all_pairs.blocks import Place
from kullback.errors import PosteriorFileError
from kullback.numerics.files import check_is_file, output_path, publish, restore, sync

SUFFIXES = (".zarr", ".npy")

# Rows and columns of a chunk of a Zarr array: up to 4 MiB in float32.
_CHUNK = 1024

Write = Callable[[Place, torch.Tensor], None]


@contextlib.contextmanager
def matrix_file(
    name: str | os.PathLike[str], shape: tuple[int, int], dtype: torch.dtype, attributes: dict[str, Any]
) -> Iterator[Write]:
    """What writes a block, at these rows and columns, into a new Zarr array or NumPy file.

    It is written under another name beside the path, whose place it takes at the end; it is deleted if the block
    raises an exception.

    Raises:
        ValueError: for another suffix, or a folder that there is not.
        PosteriorFileError: if the name is no path, or what has it is not a matrix.
        ImportError: if Zarr is not installed.
    """
    path = output_path(name)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"out is a path that ends in {' or '.join(SUFFIXES)}, got {str(path)!r}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"out={str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
    check_replaceable(path)
    with _published(Path(os.path.realpath(path)), path.suffix) as temporary:
        create(temporary, shape, dtype, attributes)
        yield functools.partial(write, temporary)


def check_replaceable(path: Path) -> None:
    """Check that what has this name, if anything, is what a matrix may replace: a file for a file; and for a Zarr array
    an empty folder, or an array that was written here, and nothing else in its folder.

    Raises:
        PosteriorFileError: if it is not.
    """
    if path.suffix.lower() != ".zarr":
        check_is_file(path)
        return
    if path.exists() and not path.is_dir():
        raise PosteriorFileError(f"{path}: is no folder, which a Zarr array is. Choose another name.")
    other = min(_others(path), default=None) if path.exists() else None
    if other is not None:
        raise PosteriorFileError(
            f"{path}: holds {other!r}, which is no part of a matrix of divergences, and would be lost. Choose another "
            "name."
        )


def _others(folder: Path) -> Iterator[str]:
    """What a folder holds beside an array that was written here."""
    for file in folder.iterdir():
        if file.name == "zarr.json" and _is_written_here(file):
            continue
        if file.name != "c" or not file.is_dir():
            yield file.name
            continue
        for at, folders, names in os.walk(file):
            yield from (str(Path(at, name).relative_to(folder)) for name in folders + names if not _CHUNK_NAME(name))


# The number of a chunk; one that a process did not finish, because it was killed, is called partial.
_CHUNK_NAME = re.compile(r"\d+(\.\w+\.partial)?").fullmatch


def _is_written_here(file: Path) -> bool:
    try:
        found = json.loads(file.read_bytes())
        return bool(found["node_type"] == "array" and {"divergence", "kullback"} <= found["attributes"].keys())
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def create(path: Path, shape: tuple[int, int], dtype: torch.dtype, attributes: dict[str, Any]) -> None:
    """Make a Zarr array or a NumPy file of a matrix whose blocks are to be written.

    Raises:
        ImportError: if Zarr is not installed.
    """
    name = str(dtype).removeprefix("torch.")
    if path.suffix.lower() == ".zarr":
        chunks = tuple(max(1, min(size, _CHUNK)) for size in shape)
        attributes = {**attributes, "kullback": __version__}
        _zarr().create_array(store=str(path), shape=shape, chunks=chunks, dtype=name, attributes=attributes)
        for file in path.iterdir():
            sync(file)
        return
    import numpy as np

    if 0 in shape:
        np.save(path, np.empty(shape, name))
    else:
        np.lib.format.open_memmap(path, "w+", name, shape)


def describe(path: Path, attributes: dict[str, Any]) -> None:
    """Add attributes to a Zarr array. They are on the disk when this returns."""
    _zarr().open_array(str(path), mode="r+").attrs.update(attributes)
    sync(path / "zarr.json")


def write(path: Path, place: Place, values: torch.Tensor) -> None:
    """Write a block, which has whole chunks of a Zarr array, so that several processes can write at a time. It is on
    the disk when this returns.
    """
    rows, columns = place
    if path.suffix.lower() == ".zarr":
        array = _zarr().open_array(str(path), mode="r+")
        array[place] = values.cpu().numpy()
        chunks = (range(x.start // size, -(-x.stop // size)) for x, size in zip(place, array.chunks, strict=True))
        for chunk in itertools.product(*chunks):
            file = path / array.metadata.encode_chunk_key(chunk)
            if file.exists():  # a chunk of zeros has none
                sync(file)
        return
    import numpy as np

    numbers = np.ascontiguousarray(values.cpu().numpy())
    # Not by mapping it: two machines that see the same file would write each other's pages.
    with path.open("r+b") as file:
        np.lib.format.read_magic(file)
        (_, width), _, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        for row, part in zip(range(rows.start, rows.stop), numbers, strict=True):
            file.seek(start + (row * width + columns.start) * dtype.itemsize)
            file.write(part.data)
    sync(path)


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError("a .zarr array needs Zarr: pip install 'kullback[zarr]'.") from error
    return zarr


@contextlib.contextmanager
def _published(path: Path, suffix: str) -> Iterator[Path]:
    """A path in a temporary folder beside ``path``, whose place it takes when the block ends without an exception."""
    restore(path, lambda said: warnings.warn(f"{path}: {said}.", stacklevel=2))
    folder = Path(tempfile.mkdtemp(prefix=".kullback-", dir=path.parent))
    try:
        yield folder / f"matrix{suffix}"
        publish(folder / f"matrix{suffix}", path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
