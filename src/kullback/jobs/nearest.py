"""The nearest rows of one model to each row of another, written in parts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kullback.all_pairs.nearest import block_size, nearest_in_blocks
from kullback.all_pairs.pairwise import as_batches, as_torch
from kullback.engines.base import Engine
from kullback.errors import PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.io.kept import Held, Kept
from kullback.io.row_formats import id_array
from kullback.io.row_outputs import RowOutput
from kullback.io.rows import ModelRows, Skipped
from kullback.jobs.infinite import Infinite
from kullback.jobs.row_parts import all_infinite, all_skipped, none_left, receipt_of, write_rows
from kullback.numerics.tensors import no_autocast

if TYPE_CHECKING:
    from kullback.io.row_formats import Columns

# How many numbers of a mean a task has at most, and how many rows it writes at most.
_NUMBERS, _WRITTEN = 2**22, 2**20

# The products of a task: a minute or less of one core; more where each task reads all that is searched.
_PRODUCTS = {True: 2**40, False: 2**43}


# What the size of the tasks depends on, as the plan calls it.
_HELD = "B, by the memory of the machine and the --workers of Dask,"


@dataclass(frozen=True)
class Nearest:
    """The k nearest rows of one model to each row of another. It can be pickled if the rows can."""

    rows: ModelRows
    searched: Kept
    k: int
    divergence: str
    """Its short name."""

    def tasks(self) -> list[range]:
        """Rows of which each task searches for some."""
        per_row = max(1, self.rows.models[0].numbers_per_row)
        most = _PRODUCTS[isinstance(self.searched, Held)] // max(1, len(self.searched))
        return self.rows.tasks(min(_NUMBERS, most, max(1, _WRITTEN // self.k) * per_row))

    def part(self, rows: range) -> "tuple[Columns, dict[str, Any]]":
        """The nearest of these rows, and how many of the rows were left out.

        Raises as the divergence does, and as the rows do.
        """
        batch = self.rows.together(rows)
        if not len(batch):
            return self.empty(), {"searches": 0, **receipt_of(batch.skipped, Infinite())}
        p, q, function = as_batches("nearest({}, k)", batch.gaussians[0], self.searched.part(0, 1), self.divergence)
        with no_autocast(p.device):
            p, q = as_torch(p, q)
            values, indices = nearest_in_blocks(p, self._blocks(p, block_size(p, q)), self.k, function)
        columns = {
            "id": id_array(batch.ids).repeat(self.k),
            "rank": np.tile(np.arange(1, self.k + 1), len(batch)),
            "neighbour": self.searched.ids(indices.numpy()).flatten(),
            self.divergence: values.to(p.mean.dtype).numpy().flatten(),
        }
        infinite = Infinite.of(columns[self.divergence])
        return columns, {"searches": len(batch), **receipt_of(batch.skipped, infinite)}

    def empty(self) -> "Columns":
        """The columns without rows."""
        none = id_array(())
        return {"id": none, "rank": none, "neighbour": none, self.divergence: np.empty(0)}

    def _blocks(self, p: Gaussian, size: int) -> Iterator[Gaussian]:
        return (as_torch(p, block)[1] for block in self.searched.parts(size))


def write_nearest(
    work: Nearest,
    output: RowOutput,
    inputs: Sequence[str],
    engine: Engine,
    *,
    reading: Mapping[str, Any],
    resume: bool,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> tuple[int, Skipped, Infinite]:
    """Write k rows for each, nearest first, with the columns id, rank (from 1), neighbour (its id) and the name of the
    divergence. Returns how many rows were searched for, those of them that were left out, and the infinite values.

    Args:
        work: what is searched for.
        output: what is written.
        inputs: the paths that the rows are read from.
        engine: what computes.
        reading: what else determines the rows.
        resume: whether parts of an interrupted run are kept.
        progress: is told how many rows are done, and of how many.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if all rows were left out, or k is not from 1 to the number of rows that are searched.

    Raises as :meth:`Nearest.part` and :func:`~kullback.jobs.row_parts.write_rows` do.
    """
    if not len(work.searched):
        raise none_left(work.searched.skipped, "rows of B")
    if not 1 <= work.k <= len(work.searched):
        raise PosteriorFileError(f"k is a whole number from 1 to {len(work.searched)} (the rows of B), got {work.k}.")
    held = "held in memory" if isinstance(work.searched, Held) else "read in blocks"
    parameters = {"-k": work.k, "the divergence": work.divergence, _HELD: held, **reading}
    receipts = write_rows(
        work, work.tasks(), output, inputs, parameters, engine, resume=resume, progress=progress, say=say
    )
    return sum(receipt["searches"] for receipt in receipts), all_skipped(receipts), all_infinite(receipts)
