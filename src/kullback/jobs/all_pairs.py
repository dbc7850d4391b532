"""All pairs of the rows of two models, and the nearest rows, into files. The rows need not be joined."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.all_pairs.nearest import Neighbours, nearest_on
from kullback.all_pairs.pairwise import pairwise
from kullback.all_pairs.stored_matrix import SUFFIXES
from kullback.engines.base import Engine
from kullback.errors import PosteriorFileError
from kullback.io.model import Posteriors
from kullback.io.output import whole_file
from kullback.io.row_formats import ROW_FORMATS, id_array
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.row_formats import Columns

MATRIX_SUFFIXES = (*SUFFIXES, ".csv")
"""The suffixes of files that :func:`write_pairwise` can write."""

# The most entries of a matrix that is written as text.
_MOST_AS_TEXT = 10**6


def write_pairwise(
    a: Posteriors, b: Posteriors, output: str | os.PathLike[str], divergence: str, engine: Engine | None = None
) -> None:
    """The matrix of the divergences of all rows of a from all rows of b, in the order of the files.

    A ``.zarr`` array or a ``.npy`` file has the numbers alone; a ``.csv`` has the ids of a in the first column and
    those of b in the first row.

    Raises:
        PosteriorFileError: if a matrix of more than a million numbers is to be written as CSV.
    """
    path = Path(output)
    if path.suffix.lower() != ".csv":
        pairwise(a.gaussian, b.gaussian, divergence, out=path, engine=engine)
        return
    if len(a) * len(b) > _MOST_AS_TEXT:
        raise PosteriorFileError(
            f"{printable(path)}: {len(a):,} × {len(b):,} divergences are too many for CSV, which takes "
            f"{_MOST_AS_TEXT:,}. Write a .zarr or .npy file."
        )
    values = pairwise(a.gaussian, b.gaussian, divergence, engine=engine)
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *_ids(b)])
        writer.writerows([key, *map(str, row)] for key, row in zip(_ids(a), values.numpy(), strict=True))


def write_nearest(
    a: Posteriors, b: Posteriors, k: int, output: str | os.PathLike[str], divergence: str, engine: Engine | None = None
) -> None:
    """The k rows of b that are nearest to each row of a, as k rows of the columns id, rank (from 1), neighbour (the id
    in b) and the name of the divergence, nearest first.
    """
    found = nearest_on(engine, a.gaussian, b.gaussian, k, divergence)
    with whole_file(output) as temporary:
        ROW_FORMATS[Path(output).suffix.lower()].write(temporary, _columns(a, b, found, divergence))


def _columns(a: Posteriors, b: Posteriors, found: Neighbours, divergence: str) -> "Columns":
    import numpy as np

    n, k = found.values.shape
    return {
        "id": id_array(_ids(a)).repeat(k),
        "rank": np.tile(np.arange(1, k + 1), n),
        "neighbour": id_array(_ids(b))[found.indices.flatten().numpy()],
        divergence: found.values.flatten().numpy(),
    }


def _ids(model: Posteriors) -> Sequence[Any]:
    return model.ids or list(range(len(model)))
