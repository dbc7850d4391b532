"""Results that are written in parts, in a hidden folder beside the output, and published when all parts are there.

``.OUT.kullback-parts/`` holds ``plan.json`` and a folder of the plan's own, with ``data/``, a file for each part, and
``receipts/``, what is said about each. A file gets its name when it is complete, data when they are on the disk, and a
part is finished when its receipt is there and names the size of its data. So a process that is killed at any moment
leaves finished parts and nothing that looks whole.
"""

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.output import publish, sync
from kullback.io.row_formats import FOLDER
from kullback.io.row_outputs import RowOutput
from kullback.io.text import printable
from kullback.jobs.plan import Plan

if TYPE_CHECKING:
    from kullback.io.row_formats import Columns


@dataclass(frozen=True)
class Parts:
    """The parts of one output. It can be pickled: a worker of a cluster that sees the same folders writes parts."""

    output: RowOutput
    folder: Path
    """Of this plan, in the hidden folder."""
    tasks: int

    def write(self, number: int, columns: "Columns", receipt: dict[str, Any]) -> dict[str, Any]:
        """Write the rows of a task, and return its receipt, with the number of the rows and of the bytes.

        Raises:
            OSError: if they cannot be written.
        """
        rows = len(next(iter(columns.values())))
        path = self._data(number)
        try:
            if rows:
                with _placed(path) as temporary:
                    self.output.format.write(temporary, columns)
            receipt = {**receipt, "rows": rows, "bytes": path.stat().st_size if rows else 0}
            with _placed(self._receipt(number), is_synced=False) as temporary:
                temporary.write_text(json.dumps(receipt), encoding="utf-8")
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{printable(self.folder)}: there is no such folder here. The workers of a cluster write beside the "
                "output: it needs a place that all of them see."
            ) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), str(self.folder.parent)) from error
        return receipt

    def receipt(self, number: int) -> dict[str, Any] | None:
        """What is said about a part; None if it is not finished."""
        try:
            receipt: dict[str, Any] = json.loads(self._receipt(number).read_text(encoding="utf-8"))
            whole = not receipt["rows"] or self._data(number).stat().st_size == receipt["bytes"]
        except (OSError, ValueError, KeyError):
            return None
        return receipt if whole else None

    def finished(self) -> dict[int, dict[str, Any]]:
        """The receipts of the parts that are finished, by their numbers."""
        receipts = ((number, self.receipt(number)) for number in range(self.tasks))
        return {number: receipt for number, receipt in receipts if receipt is not None}

    def publish(self, empty: "Columns") -> None:
        """Put the parts together, give the result its name, and remove the folder.

        Args:
            empty: the columns without rows, for a result that has none.
        """
        paths = [self._data(number) for number, receipt in self.finished().items() if receipt["rows"]]
        if not paths:
            paths = [self._data(0)]
            self.output.format.write(paths[0], empty)
        hidden = self.folder.parent
        if self.output.is_folder:
            self._publish_folder(paths)
        else:
            whole = hidden / f"whole{self.output.format.suffix}"
            try:
                self.output.format.assemble(paths, whole)
                publish(whole, self.output.target)
            except OSError as error:
                raise OSError(error.errno, error.strerror or str(error), str(self.output.target)) from error
        _remove(hidden)

    def _publish_folder(self, paths: list[Path]) -> None:
        """Give the folder of the data the name of the output."""
        data, before = self.folder / "data", self.folder.parent / "before"
        for temporary in data.glob(".*"):  # of a worker that was killed
            temporary.unlink()
        FOLDER.agree(paths)
        sync(data)
        shutil.rmtree(before, ignore_errors=True)
        if self.output.target.exists():
            os.replace(self.output.target, before)
        os.replace(data, self.output.target)
        sync(self.output.target.parent)

    def _data(self, number: int) -> Path:
        return self.folder / "data" / f"part-{number:05}{self.output.format.suffix}"

    def _receipt(self, number: int) -> Path:
        return self.folder / "receipts" / f"{number}.json"


@contextlib.contextmanager
def parts_of(output: RowOutput, plan: Plan, *, resume: bool, say: Callable[[str], None]) -> Iterator[Parts]:
    """The parts of an output, to be written, and published at the end of the block.

    If the block ends with an exception, finished parts stay for ``--resume``, and the exception gets a note of that;
    but not where other inputs or parameters are needed, after a ValueError.

    Args:
        output: what is written.
        plan: what is going to be done.
        resume: whether parts that are finished are kept.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if it cannot be written, the parts that are there are of another plan, or another process
            writes the same output.
    """
    hidden = output.target.parent / f".{output.target.name}.kullback-parts"
    try:
        hidden.mkdir(exist_ok=True)
    except OSError as error:
        raise PosteriorFileError(f"{printable(output.name)}: cannot be written: {error.strerror}.") from error
    with _locked(hidden, output.name):
        written = hidden / "plan.json"
        parts = Parts(output, hidden / plan.key, len(plan.tasks))
        is_resumed = resume and written.exists()
        if is_resumed:
            plan.check_same(written.read_text(encoding="utf-8"), output.name)
        try:
            if not is_resumed:
                _clear(hidden, output.name, say)
                with _placed(written) as temporary:
                    temporary.write_text(plan.to_json(), encoding="utf-8")
            for name in ("data", "receipts"):
                (parts.folder / name).mkdir(parents=True, exist_ok=True)
            yield parts
        except BaseException as error:
            count = len(parts.finished())
            if isinstance(error, ValueError) or not count:
                _remove(hidden)
            else:
                note = f"{count:,} of {parts.tasks:,} parts are finished; the same command with --resume continues"
                # As add_note of Python 3.11 does.
                error.__notes__ = [*getattr(error, "__notes__", ()), note]
            raise


def _clear(hidden: Path, name: str, say: Callable[[str], None]) -> None:
    """Remove what another run left."""
    left = len(list(hidden.glob("*/receipts/*.json")))
    if left:
        say(f"{printable(name)}: {left:,} parts of an interrupted run are replaced (--resume would have kept them)")
    for path in hidden.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


@contextlib.contextmanager
def _placed(path: Path, *, is_synced: bool = True) -> Iterator[Path]:
    """A path of its own, for a file that gets its name when it is complete; and on the disk, unless a reader would see
    that it is not.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        if is_synced:
            sync(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _remove(hidden: Path) -> None:
    """Remove the hidden folder, in which a worker may still be ending."""
    for _ in range(10):
        shutil.rmtree(hidden, ignore_errors=True)
        if not hidden.exists():
            return
        time.sleep(0.05)


_LOCK = "lock"


@contextlib.contextmanager
def _locked(hidden: Path, name: str) -> Iterator[None]:
    """Where the system can, let no other process write the same output; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (hidden / _LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise PosteriorFileError(f"{printable(name)}: another process is writing it.") from error
        yield
