"""Samples from files: an array whose rows they are, or a table whose columns are the coordinates."""

import csv
import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kullback.adapt.arrays import from_numpy
from kullback.columns import models, role
from kullback.errors import PosteriorFileError
from kullback.io.formats import READERS, Column, arrow_column, naming, open_columns, safely
from kullback.text import printable

# Kinds of file that hold one table, whose columns belong together.
_TABLES = (".csv", ".parquet")


def _read_npy(path: Path) -> dict[str, Callable[[], Column]]:
    def array() -> Column:
        with path.open("rb") as file:
            loaded: Column = np.lib.format.read_array(file, allow_pickle=False)
            return loaded

    return {"array": array}


def _read_csv(path: Path) -> dict[str, Callable[[], Column]]:
    import pyarrow.csv

    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        first = file.readline()
    delimiter = max(",;\t", key=first.count)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    # A row of numbers is no header, but for the names that pandas gives to columns without names: 0, 1, 2.
    named = [cell for cell in cells if cell] == [str(i) for i in range(len(cells) - cells.count(""))]
    headless = all(_is_number(cell) for cell in cells if cell) and not named
    table = pyarrow.csv.read_csv(
        path,
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=headless),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter),
    )
    return {name: functools.partial(arrow_column, name, table.column(name)) for name in table.column_names}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


SAMPLE_READERS = {**READERS, ".npy": _read_npy, ".csv": _read_csv}


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
    columns = open_columns(path, SAMPLE_READERS)
    with naming(path):
        if column is None:
            _no_posteriors(list(columns))
        if column is not None and column not in columns:
            listed = ", ".join(map(printable, columns)) or "none"
            raise PosteriorFileError(f"there is no column {printable(column)!r}. Columns are {listed}.")
        chosen = [column] if column is not None else [name for name in columns if not _identifies(name)]
        arrays = {name: safely(path, lambda name=name: _numbers(columns[name](), name)) for name in chosen}  # type: ignore[misc]
        rows = _together(arrays, table=path.suffix.lower() in _TABLES)
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
