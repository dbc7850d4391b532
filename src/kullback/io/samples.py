"""Samples from files: the rows of an array, or the rows of a table whose columns are coordinates."""

import os

import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.columns import models, role
from kullback.io.datasets import is_table, open_dataset
from kullback.io.formats.registry import naming, safely
from kullback.io.missing import shown
from kullback.io.numbers import real_tensor
from kullback.io.places import place
from kullback.io.stored import check_room
from kullback.io.text import printable


def read_samples(path: str | os.PathLike[str], column: str | None = None) -> Tensor:
    """The samples in a file, of shape ``(n, d)`` or ``(n,)``.

    They are the only array of the file, or all columns of a table side by side. Columns that identify rows are left
    out.

    Args:
        path: a file of any format in ``formats/``, or several as one: a folder, or a pattern.
        column: the name of the array to read, or of the column of a table.

    Raises:
        PosteriorFileError: if the file does not exist, is damaged, or does not contain samples.
        MemoryError: if this machine has not the memory that they take.
    """
    at = place(path)
    columns = open_dataset(at, "samples")

    def tensor(name: str) -> Tensor:
        return safely(at, lambda: real_tensor(columns[name](), name))

    with naming(at):
        if column is None:
            _check_not_posteriors(list(columns))
        elif column not in columns:
            listed = ", ".join(map(printable, columns)) or "none"
            raise PosteriorFileError(f"there is no column {printable(column)!r}. Columns are {listed}.")
        chosen = [column] if column is not None else [name for name in columns if not _identifies_rows(name)]
        check_room(f"{printable(at)}: reading all samples, which estimates need,", *(columns[name] for name in chosen))
        rows = _combined({name: tensor(name) for name in chosen}, is_table=is_table(at))
        bad = ~torch.isfinite(rows)
        if bool(bad.any()):
            index = bad.nonzero()[0].tolist()
            row, *coordinate = index
            where = f"row {row}" + (f", coordinate {','.join(map(str, coordinate))}" if coordinate else "")
            raise PosteriorFileError(f"{where}: {shown(float(rows[tuple(index)]))}; samples must be finite numbers.")
    return rows


def _identifies_rows(name: str) -> bool:
    """Whether a column of this name contains ids, or the index that pandas writes without a name."""
    return not name or name.startswith("Unnamed: ") or (role(name) or ("", ""))[0] == "id"


def _check_not_posteriors(names: list[str]) -> None:
    """Raise an error if columns of these names contain the parameters of Gaussians."""
    try:
        found = models(names)
    except PosteriorFileError:
        return
    columns = ", ".join(map(printable, [found[0].mean, *found[0].scales.values()]))
    raise PosteriorFileError(
        f"holds the parameters of Gaussians ({columns}), not samples: kullback kl, or kullback compare, is exact and "
        "needs no samples. To read one of these columns as samples: --columns."
    )


def _combined(arrays: dict[str, Tensor], *, is_table: bool) -> Tensor:
    """The only array, or the columns of a table side by side."""
    if not arrays:
        raise PosteriorFileError("holds no array of samples.")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    if is_table and all(x.ndim == 1 for x in arrays.values()):
        return torch.stack(list(arrays.values()), 1)
    listed = ", ".join(f"{printable(name)} {tuple(x.shape)}" for name, x in arrays.items())
    raise PosteriorFileError(f"holds several arrays: {listed}. Choose the one with the samples: --columns NAME.")
