"""Samples from files: an array whose rows they are, or a table whose columns are the coordinates."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.columns import models, role
from kullback.io.formats.registry import Column, is_table, naming, open_columns, safely
from kullback.io.text import printable
from kullback.numerics.arrays import from_numpy


def read_samples(path: str | os.PathLike[str], column: str | None = None) -> Tensor:
    """The samples in a file, ``(n, d)`` or ``(n,)``.

    The only array in it; of a ``.csv`` or ``.parquet`` all columns of numbers but ``id``, side by side.

    Args:
        path: ``.npy``, ``.npz``, ``.csv``, ``.parquet``, ``.safetensors``, ``.pt`` or ``.pth``.
        column: which array of several, or which column of a table.

    Raises:
        PosteriorFileError: if the file is not there, not whole, or does not hold samples.
    """
    path = Path(path)
    columns = open_columns(path, "samples")
    with naming(path):
        if column is None:
            _no_posteriors(list(columns))
        if column is not None and column not in columns:
            listed = ", ".join(map(printable, columns)) or "none"
            raise PosteriorFileError(f"there is no column {printable(column)!r}. Columns are {listed}.")
        chosen = [column] if column is not None else [name for name in columns if not _identifies(name)]
        arrays = {name: safely(path, lambda name=name: _numbers(columns[name](), name)) for name in chosen}  # type: ignore[misc]
        rows = _together(arrays, table=is_table(path))
        bad = ~torch.isfinite(rows)
        if bool(bad.any()):
            row, *at = bad.nonzero()[0].tolist()
            where = f"row {row}" + (f", coordinate {','.join(map(str, at))}" if at else "")
            raise PosteriorFileError(f"{where}: {float(rows[(row, *at)])}; samples are finite numbers.")
    return rows


def _identifies(name: str) -> bool:
    """A row, as an id does, or the index that pandas writes without a name."""
    return not name or name.startswith("Unnamed: ") or (role(name) or ("", ""))[0] == "id"


def _no_posteriors(names: list[str]) -> None:
    try:
        found = models(names)
    except PosteriorFileError:
        return
    columns = ", ".join(map(printable, [found[0].mean, *found[0].scales.values()]))
    raise PosteriorFileError(
        f"holds Gaussians ({columns}), not samples of one: kullback kl, or kullback compare, is exact and needs none. "
        "To take one column for samples all the same: --columns."
    )


def _together(arrays: dict[str, Tensor], *, table: bool) -> Tensor:
    if not arrays:
        raise PosteriorFileError("holds no array.")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if table and all(x.ndim == 1 for x in arrays.values()):
        return torch.stack(list(arrays.values()), 1)
    listed = ", ".join(f"{printable(name)} {tuple(x.shape)}" for name, x in arrays.items())
    raise PosteriorFileError(f"holds several arrays: {listed}. Say which are the samples: --columns NAME.")


def _numbers(column: Column, name: str) -> Tensor:
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "fiu" or column.dtype.itemsize > 8:
            raise PosteriorFileError(f"column {printable(name)!r} holds {column.dtype}, expected numbers.")
        column = from_numpy(column)
    if column.is_complex() or column.dtype == torch.bool or column.is_quantized or column.layout != torch.strided:
        raise PosteriorFileError(f"column {printable(name)!r} holds {column.dtype}, expected plain real numbers.")
    if column.ndim == 0 or column.numel() == 0:
        raise PosteriorFileError(f"column {printable(name)!r} has no rows (shape {tuple(column.shape)}).")
    return column
