"""A divergence for each row, computed task by task, and written in parts or streamed as CSV."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kullback.divergences.registry import function_of, record_of
from kullback.engines.base import Engine
from kullback.engines.local import going_on
from kullback.gaussians.gaussian import Gaussian
from kullback.io.row_formats import concatenated, csv_text, id_array
from kullback.io.row_outputs import RowOutput
from kullback.io.rows import Rows, Skipped
from kullback.io.text import printable
from kullback.jobs.infinite import Infinite
from kullback.jobs.row_parts import none_left, receipt_of, skipped_of, write_rows

if TYPE_CHECKING:
    from kullback.io.row_formats import Columns

# How many numbers of a mean a task has at least: of diagonal Gaussians a second of work or less, and a part of some
# megabytes or less. What it costs to start a task, and to write its part, is small beside that.
_NUMBERS = 2**23


@dataclass(frozen=True)
class Total:
    """What is known of many rows."""

    count: int = 0
    sums: tuple[float, ...] = ()
    """Of the values of each task, in order, so that the mean is the same however the tasks were run."""
    skipped: Skipped = field(default_factory=Skipped)
    infinite: Infinite = field(default_factory=Infinite)

    @property
    def mean(self) -> float:
        """Of the values of all rows; NaN of none."""
        if not self.count:
            return math.nan
        try:
            return math.fsum(self.sums) / self.count
        except (OverflowError, ValueError):  # beyond the numbers, or infinities of both signs
            return sum(self.sums) / self.count

    def merge(self, other: "Total") -> "Total":
        """That of both, of which ``other`` comes later."""
        return Total(
            self.count + other.count,
            self.sums + other.sums,
            self.skipped.merge(other.skipped),
            self.infinite.merge(other.infinite),
        )


@dataclass(frozen=True)
class RowDivergence:
    """A divergence of each row of two models, or of one from the prior N(0, I). It can be pickled if the rows can."""

    rows: Rows
    divergence: str
    """The name of its record."""
    parameters: Mapping[str, Any]
    """Its further arguments."""

    @property
    def column(self) -> str:
        """What the column of the values is called."""
        flags = [name for name, value in self.parameters.items() if value is True]
        return "_".join([record_of(self.divergence).module, *flags])

    def check_parameters(self) -> None:
        """Try the further arguments on a Gaussian of one dimension.

        Raises:
            ValueError: if the divergence does not take them.
        """
        prior = Gaussian.standard((1,))
        function_of(record_of(self.divergence))(prior, prior, **self.parameters)

    def compute(self, rows: range) -> "tuple[Columns, Total]":
        """The ids and the values of these rows.

        Raises as the divergence does, and as the rows do.
        """
        function = function_of(record_of(self.divergence))
        ids, values, total = [], [], Total()
        for batch in self.rows.batches(rows):
            going_on()
            total = replace(total, skipped=total.skipped.merge(batch.skipped))
            if len(batch):
                p, *q = batch.gaussians
                prior = q[0] if q else Gaussian.standard(p.event_shape)
                values.append(function(p, prior, **self.parameters).detach().cpu().numpy())
                ids.append(id_array(batch.ids))
        if not ids:
            return self.empty(), total
        columns = {"id": concatenated(ids), self.column: concatenated(values)}
        found = columns[self.column]
        sums = (float(np.sum(found, dtype=np.float64)),)
        return columns, Total(len(found), sums, total.skipped, Infinite.of(found))

    def part(self, rows: range) -> "tuple[Columns, dict[str, Any]]":
        """The same, with what is known of them as JSON can express it."""
        columns, total = self.compute(rows)
        return columns, {"sums": total.sums, **receipt_of(total.skipped, total.infinite)}

    def empty(self) -> "Columns":
        """The columns without rows."""
        return {"id": id_array(()), self.column: np.empty(0)}


@dataclass(frozen=True)
class _ToText:
    work: RowDivergence
    is_printed: bool

    def __call__(self, rows: range) -> tuple[str, Total]:
        columns, total = self.work.compute(rows)
        if self.is_printed and columns["id"].dtype.kind == "U":
            columns = {**columns, "id": np.array([printable(key) for key in columns["id"]], dtype=str)}
        return csv_text(columns, header=False), total


def write_divergence(
    work: RowDivergence,
    output: RowOutput,
    inputs: Sequence[str],
    engine: Engine,
    *,
    reading: Mapping[str, Any],
    resume: bool,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> Total:
    """Write the id of each row and the value, completely or not at all.

    Args:
        work: the divergence.
        output: what is written.
        inputs: the paths that the rows are read from.
        engine: what computes.
        reading: what else determines the rows.
        resume: whether parts of an interrupted run are kept.
        progress: is told how many rows are done, and of how many.
        say: is told what the user should know.

    Raises as :meth:`RowDivergence.compute` and :func:`~kullback.jobs.row_parts.write_rows` do.
    """
    further = {f"--{name}": value for name, value in work.parameters.items()}
    parameters = {"the divergence": record_of(work.divergence).module, **further, **reading}
    receipts = write_rows(
        work, work.rows.tasks(_NUMBERS), output, inputs, parameters, engine, resume=resume, progress=progress, say=say
    )
    total = Total()
    for receipt in receipts:
        sums = tuple(receipt["sums"])
        total = total.merge(Total(receipt["rows"], sums, skipped_of(receipt), Infinite(*receipt["infinite"])))
    return total


def stream_divergence(
    work: RowDivergence,
    write: Callable[[str], Any],
    engine: Engine,
    *,
    is_printed: bool,
    progress: Callable[[int, int], None],
) -> Total:
    """Write the id of each row and the value as CSV, in order.

    Args:
        work: the divergence.
        write: is given the text, piece by piece.
        engine: what computes.
        is_printed: whether a terminal shows the text.
        progress: is told how many rows are done, and of how many.

    Raises:
        PosteriorFileError: if all rows were left out.

    Raises as :meth:`RowDivergence.compute` does.
    """
    tasks = work.rows.tasks(_NUMBERS)
    total, done = Total(), 0
    before = csv_text(work.empty(), header=True)  # written with the first rows: an error has none
    for (_, (text, some)), task in zip(engine.map(_ToText(work, is_printed), tasks), tasks, strict=True):
        total = total.merge(some)
        if total.count:
            write(before + text)
            before = ""
        done += len(task)
        progress(done, len(work.rows))
    if not total.count:
        raise none_left(total.skipped)
    return total
