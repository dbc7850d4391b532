"""The progress of passes over rows on the disk, so that an interrupted computation can go on.

The hidden folder of the output holds a file for each pass: how many tasks are done, and, as text, what they add up to.
A file gets its name when it is complete and on the disk, in the place of the one before.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.jobs.plan import Plan
from kullback.jobs.unfinished import remove, unfinished
from kullback.numerics.files import placed

# Progress is saved when so many seconds have passed, and so many times those that saving took; at the end of a pass
# already when less would have to be done again.
_SECONDS, _TIMES, _SECONDS_OF_PASS = 5.0, 20, 1.0


class Checkpoint:
    """The progress of passes, in a folder."""

    def __init__(
        self, folder: Path, tasks: int, read: Mapping[str, Callable[[str], Any]], say: Callable[[str], None]
    ) -> None:
        self._folder, self._tasks, self._read, self._say = folder, tasks, read, say
        self._saved, self._cost = time.monotonic(), 0.0
        self._can_save = True

    def load(self, name: str) -> tuple[int, Any] | None:
        """How many tasks of a pass are done, and what they add up to; None of a pass that was not begun.

        Raises:
            PosteriorFileError: if that is damaged, and is removed.
        """
        try:
            done, _, text = self._path(name).read_text(encoding="utf-8").partition("\n")
            return int(done), self._read[name](text)
        except FileNotFoundError:
            return None
        except ValueError as error:
            self._path(name).unlink()
            raise PosteriorFileError(
                f"{printable(self._path(name))}: what was saved was damaged, and is removed: {error} The same command "
                f"with --resume goes through the {name} again."
            ) from error

    def save(self, name: str, done: int, total: Any) -> None:
        """Keep it, if it is time to. Where that cannot be written, it is said, and the computation goes on."""
        began = time.monotonic()
        wait = _SECONDS_OF_PASS if done == self._tasks else max(_SECONDS, _TIMES * self._cost)
        if not self._can_save or began - self._saved < wait:
            return
        try:
            with placed(self._path(name)) as temporary:
                temporary.write_text(f"{done}\n{total.to_json()}", encoding="utf-8")
        except OSError as error:
            self._can_save = False
            self._say(f"{printable(self._folder.parent)}: progress can no longer be saved there: {error.strerror}")
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.progress"


@contextlib.contextmanager
def checkpoint(
    output: Path,
    name: str,
    plan: Plan,
    read: Mapping[str, Callable[[str], Any]],
    *,
    resume: bool,
    say: Callable[[str], None],
) -> Iterator[Checkpoint]:
    """The progress of passes over the tasks of a plan, each of which adds up to what has a ``to_json``.

    It is removed at the end of the block. If the block ends with an exception, it stays for ``--resume``.

    Args:
        output: what the block writes at its end.
        name: what messages call it.
        plan: what is going to be done.
        read: for each pass, in their order, what makes of a text that which was written.
        resume: whether the progress of an interrupted run is used.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if the progress that is there is of another plan, or another process writes the output.
    """
    tasks = len(plan.tasks)

    def said(folder: Path) -> str:
        counts = {pass_: _done(folder / f"{pass_}.progress") for pass_ in read}
        parts = [f"{count:,} of {tasks:,} tasks of the {pass_}" for pass_, count in counts.items() if count]
        return f"{' and '.join(parts)} are" if parts else ""

    with unfinished(output.resolve(), name, plan, said, resume=resume, say=say) as folder:
        found = said(folder)
        if found:
            say(f"{printable(name)}: {found.removesuffix(' are')} were finished")
        yield Checkpoint(folder, tasks, read, say)
        remove(folder.parent)


def _done(path: Path) -> int:
    """The number of tasks in the first line of a file."""
    try:
        with path.open(encoding="utf-8") as file:
            return int(file.readline(20))
    except (FileNotFoundError, ValueError):
        return 0
