"""The matrix of the divergences of all rows of one model from all rows of another, written block by block."""

import csv
import itertools
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kullback.all_pairs.blocks import Place
from kullback.all_pairs.pairwise import BLOCK, as_batches, as_torch, pairwise
from kullback.all_pairs.stored_matrix import SUFFIXES, check_replaceable, create, describe, write
from kullback.engines.base import Engine
from kullback.errors import PosteriorFileError
from kullback.io.formats.registry import naming
from kullback.io.kept import Kept
from kullback.io.optional import needed
from kullback.io.output import check_place, whole_file
from kullback.io.text import printable
from kullback.jobs.infinite import Infinite
from kullback.jobs.parts import Parts, finish, parts_of
from kullback.jobs.plan import Plan
from kullback.jobs.row_parts import all_infinite, none_left
from kullback.jobs.stamps import fingerprint
from kullback.numerics.files import publish

MATRIX_SUFFIXES = (*SUFFIXES, ".csv")
"""The suffixes of files that :func:`write_pairwise` can write."""

# The most entries of a matrix that is written as text.
_MOST_AS_TEXT = 10**6


@dataclass(frozen=True)
class MatrixOutput:
    """A place to write a matrix to, which was checked."""

    name: str
    """As the caller gave it."""

    @property
    def target(self) -> Path:
        """Where it is: behind a link, what the link points to."""
        return Path(os.path.realpath(self.name))

    @property
    def suffix(self) -> str:
        """Its format."""
        return Path(self.name).suffix.lower()


def matrix_output(name: str) -> MatrixOutput:
    """The place that a name means, whose suffix determines the format.

    Raises:
        PosteriorFileError: if it cannot be written, its format is not known, or what would be replaced is no matrix.
    """
    check_place(name, MATRIX_SUFFIXES)
    check_replaceable(Path(name))
    return MatrixOutput(name)


class MatrixParts(Parts):
    """Blocks of one matrix."""

    output: MatrixOutput

    @property
    def data(self) -> Path:
        """The matrix."""
        return self.folder / "data" / f"matrix{self.output.suffix}"

    def _check_library(self) -> None:
        """Raise a PosteriorFileError if Zarr is needed, and this machine has it not."""
        if self.data.suffix == ".zarr":
            with naming(self.output.name):
                needed("zarr", "zarr")

    def create(self, shape: tuple[int, int], dtype: torch.dtype, attributes: Mapping[str, Any]) -> None:
        """Make the matrix, unless blocks of it are finished.

        Raises:
            OSError: if it cannot be written.
            PosteriorFileError: if Zarr is not installed.
        """
        self._check_library()
        if not self.finished():
            with self._writing():
                shutil.rmtree(self.data, ignore_errors=True)
                create(self.data, shape, dtype, dict(attributes))

    def write(self, number: int, place: Place, values: torch.Tensor) -> None:
        """Write a block, and its receipt.

        Raises:
            OSError: if they cannot be written.
            PosteriorFileError: if Zarr is not installed.
        """
        self._check_library()
        with self._writing():
            write(self.data, place, values)
            infinite = Infinite.of(values.numpy())
            self._confirm(number, {"infinite": [infinite.count, infinite.precision]})

    def describe(self, attributes: dict[str, Any]) -> None:
        """Add attributes to a Zarr array.

        Raises:
            OSError: if they cannot be written.
        """
        with self._writing():
            describe(self.data, attributes)

    def is_whole(self, number: int, receipt: dict[str, Any]) -> bool:
        """A receipt is written when the block is on the disk."""
        return self.data.exists()

    def publish(self) -> None:
        """Give the matrix its name, and remove the folder."""
        publish(self.data, self.output.target)
        self.remove()


@dataclass(frozen=True)
class _ToMatrix:
    p: Kept
    q: Kept
    divergence: str
    parts: MatrixParts

    def __call__(self, task: tuple[int, tuple[range, range]]) -> None:
        number, (rows, columns) = task
        values = pairwise(self.p.part(rows.start, rows.stop), self.q.part(columns.start, columns.stop), self.divergence)
        place = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
        self.parts.write(number, place, values)


def write_pairwise(
    p: Kept,
    q: Kept,
    output: MatrixOutput,
    inputs: Sequence[str],
    divergence: str,
    engine: Engine,
    *,
    reading: Mapping[str, Any],
    resume: bool,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> Infinite:
    """Write the matrix of the divergences of all rows of p from all rows of q, in the order of the data. Returns the
    infinite ones.

    A ``.csv`` has the ids of p in the first column and those of q in the first row. A ``.npy`` file has the numbers
    alone; and so has a ``.zarr`` array, unless rows were left out: then its attributes ``rows`` and ``columns`` are the
    ids of those that are left. Of a model without ids these are the numbers of the rows, from 0.

    Args:
        p: the rows of the matrix.
        q: its columns.
        output: what is written.
        inputs: the paths that the rows are read from.
        divergence: its short name.
        engine: what computes the blocks.
        reading: what else determines the rows.
        resume: whether blocks of an interrupted run are kept.
        progress: is told how many numbers are done, and of how many.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if all rows were left out, a matrix of more than a million numbers is to be written as CSV,
            or one as CSV is to be continued.
    """
    for name, of in (("A", p), ("B", q)):
        if not len(of):
            raise none_left(of.skipped, f"rows of {name}")
    if output.suffix == ".csv":
        if resume:
            raise PosteriorFileError(
                f"{printable(output.name)}: --resume continues .zarr and .npy. A matrix as CSV is small and written at "
                "once."
            )
        return _write_text(p, q, output.name, divergence)
    shape = len(p), len(q)
    left_out = p.skipped.count or q.skipped.count
    if left_out and output.suffix == ".npy":
        say(
            f"{printable(output.name)}: rows were left out, and a .npy file does not say which are left. A .zarr array "
            "does, in its attributes rows and columns, and so does a .csv"
        )
    tasks = list(itertools.product(_cut(len(p), BLOCK[0]), _cut(len(q), BLOCK[1])))
    parameters = {"the divergence": divergence, **reading}
    plan = Plan(fingerprint(inputs), parameters, [[x.stop for x in task] for task in tasks])
    with parts_of(MatrixParts, output, plan, resume=resume, say=say) as parts:
        one, other, _ = as_batches("pairwise({})", p.part(0, 1), q.part(0, 1), divergence)
        parts.create(shape, as_torch(one, other)[0].mean.dtype, {"divergence": divergence})
        receipts = finish(parts, _ToMatrix(p, q, divergence, parts), tasks, _size, engine, progress, say)
        if left_out and output.suffix == ".zarr":
            parts.describe({"rows": _all_ids(p), "columns": _all_ids(q)})
        parts.publish()
    return all_infinite(receipts)


def _cut(count: int, size: int) -> list[range]:
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _size(task: tuple[range, range]) -> int:
    rows, columns = task
    return len(rows) * len(columns)


def _write_text(p: Kept, q: Kept, output: str, divergence: str) -> Infinite:
    if len(p) * len(q) > _MOST_AS_TEXT:
        raise PosteriorFileError(
            f"{printable(output)}: {len(p):,} × {len(q):,} divergences are too many for CSV, which takes "
            f"{_MOST_AS_TEXT:,}. Write a .zarr or .npy file."
        )
    values = pairwise(p.part(0, len(p)), q.part(0, len(q)), divergence).numpy()
    with whole_file(output) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", *_all_ids(q)])
        writer.writerows([key, *map(str, row)] for key, row in zip(_all_ids(p), values, strict=True))
    return Infinite.of(values)


def _all_ids(kept: Kept) -> list[Any]:
    ids: list[Any] = kept.ids(np.arange(len(kept))).tolist()
    return ids
