"""Columns of rows that are written in parts: a file for each, which are put together, or stay in a folder."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kullback.engines.base import Engine
from kullback.errors import PosteriorFileError
from kullback.io.row_formats import FOLDER
from kullback.io.row_outputs import RowOutput
from kullback.io.rows import Skipped
from kullback.jobs.infinite import Infinite
from kullback.jobs.parts import Parts, finish, parts_of
from kullback.jobs.plan import Plan
from kullback.jobs.stamps import fingerprint
from kullback.numerics.files import placed, publish

if TYPE_CHECKING:
    from kullback.io.row_formats import Columns


class RowWork(Protocol):
    """What computes columns for rows. It can be pickled."""

    def part(self, rows: range) -> "tuple[Columns, dict[str, Any]]":
        """The columns of these rows, and what the receipt says about them."""


class RowParts(Parts):
    """Parts that are files with columns of rows."""

    output: RowOutput

    def write(self, number: int, columns: "Columns", receipt: dict[str, Any]) -> None:
        """Write the rows of a task, and its receipt, with the number of the rows and of the bytes.

        Raises:
            OSError: if they cannot be written.
        """
        rows = len(next(iter(columns.values())))
        path = self._data(number)
        with self._writing():
            if rows:
                with placed(path) as temporary:
                    self.output.format.write(temporary, columns)
            self._confirm(number, {**receipt, "rows": rows, "bytes": path.stat().st_size if rows else 0})

    def is_whole(self, number: int, receipt: dict[str, Any]) -> bool:
        """Whether the file has the size that it had."""
        return not receipt["rows"] or self._data(number).stat().st_size == receipt["bytes"]

    def publish(self, receipts: Sequence[Mapping[str, Any]]) -> None:
        """Put the parts together, give the result its name, and remove the folder.

        Args:
            receipts: of all parts, in order; one at least has rows.
        """
        numbered = zip(range(self.tasks), receipts, strict=True)
        paths = [self._data(number) for number, receipt in numbered if receipt["rows"]]
        if self.output.is_folder:
            self._publish_folder(paths)
        else:
            whole = self.folder.parent / f"whole{self.output.format.suffix}"
            try:
                self.output.format.assemble(paths, whole)
                publish(whole, self.output.target)
            except OSError as error:
                raise OSError(error.errno, error.strerror or str(error), str(self.output.target)) from error
        self.remove()

    def _publish_folder(self, paths: list[Path]) -> None:
        """Give the folder of the data the name of the output."""
        data = self.folder / "data"
        for temporary in data.glob(".*"):  # of a worker that was killed
            temporary.unlink()
        FOLDER.agree(paths)
        publish(data, self.output.target)

    def _data(self, number: int) -> Path:
        return self.folder / "data" / f"part-{number:05}{self.output.format.suffix}"


@dataclass(frozen=True)
class _ToPart:
    work: RowWork
    parts: RowParts

    def __call__(self, task: tuple[int, range]) -> None:
        number, rows = task
        self.parts.write(number, *self.work.part(rows))


def write_rows(
    work: RowWork,
    tasks: Sequence[range],
    output: RowOutput,
    inputs: Sequence[str],
    parameters: Mapping[str, Any],
    engine: Engine,
    *,
    resume: bool,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Write the columns of all rows, completely or not at all, and return the receipts of the parts in order.

    Args:
        work: what computes the columns.
        tasks: the rows of each part.
        output: what is written.
        inputs: the paths that the rows are read from.
        parameters: what else determines the columns.
        engine: what computes.
        resume: whether parts of an interrupted run are kept.
        progress: is told how many rows are done, and of how many.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if all rows were left out.

    Raises as the work does, and as :func:`~kullback.jobs.parts.parts_of` does.
    """
    plan = Plan(fingerprint(inputs), parameters, [[task.start, task.stop] for task in tasks])
    with parts_of(RowParts, output, plan, resume=resume, say=say) as parts:
        receipts = finish(parts, _ToPart(work, parts), tasks, len, engine, progress, say)
        if not any(receipt["rows"] for receipt in receipts):
            parts.remove()
            raise none_left(all_skipped(receipts))
        parts.publish(receipts)
    return receipts


def receipt_of(skipped: Skipped, infinite: Infinite) -> dict[str, Any]:
    """What a receipt says about the rows that were left out, and the values of the others."""
    return {"skipped": skipped.count, "first": skipped.first, "infinite": [infinite.count, infinite.precision]}


def skipped_of(receipt: Mapping[str, Any]) -> Skipped:
    """The rows that were left out, of the receipt of a part."""
    return Skipped(receipt["skipped"], tuple(receipt["first"]))


def all_skipped(receipts: Sequence[Mapping[str, Any]]) -> Skipped:
    """The rows that were left out, of the receipts of all parts in order."""
    return functools.reduce(Skipped.merge, map(skipped_of, receipts), Skipped())


def all_infinite(receipts: Sequence[Mapping[str, Any]]) -> Infinite:
    """The infinite values, of the receipts of all parts."""
    return functools.reduce(Infinite.merge, (Infinite(*receipt["infinite"]) for receipt in receipts), Infinite())


def none_left(skipped: Skipped, rows: str = "rows") -> PosteriorFileError:
    """The error that all rows were left out."""
    first = "".join(f": {place}" for place in skipped.first[:1])
    return PosteriorFileError(f"none of {skipped.count:,} {rows} is left{first}")
