"""What is unfinished of an output, in a hidden folder beside it: of one plan, and of one process at a time."""

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from kullback.errors import PosteriorFileError
from kullback.io.output import sync
from kullback.io.text import printable
from kullback.jobs.plan import Plan

Said = Callable[[Path], str]
"""What is said of what a folder holds, such as "3 of 9 parts are"; nothing of an empty one."""


@contextlib.contextmanager
def unfinished(
    target: Path, name: str, plan: Plan, said: Said, *, resume: bool, say: Callable[[str], None]
) -> Iterator[Path]:
    """A folder of this plan, in the hidden folder.

    If the block ends with an exception, the folder stays for ``--resume``, and the exception gets a note of that; but
    not if it is empty, or where other inputs or parameters are needed, after a ValueError.

    Args:
        target: the output, behind links.
        name: what messages call it.
        plan: what is going to be done.
        said: of a folder of a plan, what is finished, and the verb.
        resume: whether that is kept.
        say: is told what the user should know.

    Raises:
        PosteriorFileError: if it cannot be written, what is there is of another plan, or another process writes the
            same output.
    """
    hidden = target.parent / f".{target.name}.kullback-parts"
    try:
        hidden.mkdir(exist_ok=True)
    except OSError as error:
        raise PosteriorFileError(f"{printable(name)}: cannot be written: {error.strerror}.") from error
    with _locked(hidden, name):
        written, folder = hidden / "plan.json", hidden / plan.key
        is_resumed = resume and written.exists()
        if is_resumed:
            plan.check_same(written.read_text(encoding="utf-8"), name)
        try:
            if not is_resumed:
                _clear(hidden, folder, name, said, say)
                with placed(written) as temporary:
                    temporary.write_text(plan.to_json(), encoding="utf-8")
            folder.mkdir(exist_ok=True)
            yield folder
        except BaseException as error:
            kept = said(folder)
            if isinstance(error, ValueError) or not kept:
                remove(hidden)
            else:
                note = f"{kept} finished; the same command with --resume continues"
                # As add_note of Python 3.11 does.
                error.__notes__ = [*getattr(error, "__notes__", ()), note]
            raise


def _clear(hidden: Path, folder: Path, name: str, said: Said, say: Callable[[str], None]) -> None:
    """Remove what another run left, of this plan or of others."""
    for path in hidden.iterdir():
        if path.is_dir():
            left = said(path)
            if left:
                left = left if path == folder else "parts of another computation are"
                say(f"{printable(name)}: {left} replaced, which an interrupted run had finished (--resume keeps them)")
            shutil.rmtree(path)
        elif path.name != _LOCK:
            path.unlink()


@contextlib.contextmanager
def placed(path: Path, *, is_synced: bool = True) -> Iterator[Path]:
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


def remove(hidden: Path) -> None:
    """Remove a hidden folder, in which a worker may still be ending."""
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
