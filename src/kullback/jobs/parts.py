"""Results that are written in parts, in a hidden folder beside the output, and published when all parts are there.

``.OUT.kullback-parts/`` holds ``plan.json`` and a folder of the plan's own, with ``data/`` and ``receipts/``, what is
said about each part. A receipt gets its name when the data are on the disk; :meth:`Parts.is_whole` compares it with
them. So a process that is killed at any moment leaves finished parts and nothing that looks whole.
"""

import abc
import contextlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from kullback.engines.base import Engine
from kullback.io.text import printable
from kullback.jobs.plan import Plan
from kullback.jobs.unfinished import remove, unfinished
from kullback.numerics.files import placed

T = TypeVar("T")
P = TypeVar("P", bound="Parts")

# The seconds that are waited, each time, for files that another machine has written.
_WAITS = (0.0, 0.2, 1.0, 5.0)


class Output(Protocol):
    """What is written."""

    @property
    def name(self) -> str:
        """As the caller gave it."""

    @property
    def target(self) -> Path:
        """Where it is: behind a link, what the link points to."""


@dataclass(frozen=True)
class Parts(abc.ABC):
    """The parts of one output. They can be pickled: a worker of a cluster that sees the same folders writes parts."""

    output: Any
    """An :class:`Output`."""
    folder: Path
    """Of this plan, in the hidden folder."""
    tasks: int

    @abc.abstractmethod
    def is_whole(self, number: int, receipt: dict[str, Any]) -> bool:
        """Whether the data are there that this receipt is about. It may raise a FileNotFoundError if not."""

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Errors of files name the folder."""
        try:
            yield
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{printable(self.folder)}: there is no such folder here. The workers of a cluster write beside the "
                "output: it needs a place that all of them see."
            ) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self.folder.parent)) from error

    def _confirm(self, number: int, receipt: dict[str, Any]) -> None:
        """Say that a part is finished."""
        with placed(self._receipt(number), is_synced=False) as temporary:
            temporary.write_text(json.dumps(receipt), encoding="utf-8")

    def receipt(self, number: int) -> dict[str, Any] | None:
        """What is said about a part; None if it is not finished.

        Raises:
            OSError: if that cannot be read, which is not to say that it is not there.
        """
        try:
            receipt: dict[str, Any] = json.loads(self._receipt(number).read_text(encoding="utf-8"))
            return receipt if self.is_whole(number, receipt) else None
        except (FileNotFoundError, ValueError, KeyError):
            return None

    def finished(self, numbers: Iterable[int] | None = None) -> dict[int, dict[str, Any]]:
        """The receipts of the parts that are finished, by their numbers; of these numbers, or of all."""
        receipts = ((number, self.receipt(number)) for number in (range(self.tasks) if numbers is None else numbers))
        return {number: receipt for number, receipt in receipts if receipt is not None}

    def written(self, numbers: Collection[int]) -> dict[int, dict[str, Any]]:
        """The receipts of parts that were written, perhaps by another machine.

        Raises:
            OSError: if one cannot be seen here.
        """
        receipts: dict[int, dict[str, Any]] = {}
        for wait in _WAITS:
            time.sleep(wait)
            # A network file system asks the server again for the names in a folder that is listed.
            for folder in ("receipts", "data"):
                with contextlib.suppress(OSError):
                    os.listdir(self.folder / folder)
            receipts |= self.finished(number for number in numbers if number not in receipts)
            if len(receipts) == len(numbers):
                return receipts
        raise OSError(
            f"{printable(self.output.name)}: {len(numbers) - len(receipts):,} of {self.tasks:,} parts were written and "
            f"cannot be seen in {printable(self.folder)}. Check that all machines see this folder."
        )

    def remove(self) -> None:
        """Remove what the hidden folder holds."""
        remove(self.folder.parent)

    def _receipt(self, number: int) -> Path:
        return self.folder / "receipts" / f"{number}.json"


def finish(
    parts: Parts,
    work: Callable[[tuple[int, T]], Any],
    tasks: Sequence[T],
    size: Callable[[T], int],
    engine: Engine,
    progress: Callable[[int, int], None],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Write the parts that are not finished, and return all receipts in order.

    Args:
        parts: where they are written.
        work: writes the part of a number and its task.
        tasks: those of all parts.
        size: how much of the whole a task is.
        engine: what computes.
        progress: is told how much is done, and of how much.
        say: is told what the user should know.

    Raises:
        OSError: if a part that was written cannot be seen here.
    """
    finished = parts.finished()
    if finished:
        say(f"{printable(parts.output.name)}: {len(finished):,} of {len(tasks):,} parts were finished")
    missing = [(number, task) for number, task in enumerate(tasks) if number not in finished]
    done, whole = sum(size(tasks[number]) for number in finished), sum(map(size, tasks))
    for (_, task), _ in zip(missing, engine.map(work, missing), strict=True):
        done += size(task)
        progress(done, whole)
    finished |= parts.written([number for number, _ in missing])
    return [finished[number] for number in range(len(tasks))]


@contextlib.contextmanager
def parts_of(kind: type[P], output: Output, plan: Plan, *, resume: bool, say: Callable[[str], None]) -> Iterator[P]:
    """The parts of an output, to be written, and published at the end of the block.

    If the block ends with an exception, finished parts stay for ``--resume``, and the exception gets a note of that.

    Args:
        kind: what the parts consist of.
        output: what is written.
        plan: what is going to be done.
        resume: whether parts that are finished are kept.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if it cannot be written, the parts that are there are of another plan, or another process
            writes the same output.
    """

    def said(folder: Path) -> str:
        count = len(kind(output, folder, len(plan.tasks)).finished())
        return f"{count:,} of {len(plan.tasks):,} parts are" if count else ""

    with unfinished(output.target, output.name, plan, said, resume=resume, say=say) as folder:
        parts = kind(output, folder, len(plan.tasks))
        for name in ("data", "receipts"):
            (folder / name).mkdir(exist_ok=True)
        yield parts
