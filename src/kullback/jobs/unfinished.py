"""What is unfinished of an output, in a hidden folder beside it: of one plan, and of one process at a time."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.jobs.plan import Plan
from kullback.numerics.files import placed, restore

Said = Callable[[Path], str]
"""What is said of what a folder holds, such as "3 of 9 parts are"; nothing of an empty one."""

_LOCK, _PLAN = "lock", "plan.json"


@contextlib.contextmanager
def unfinished(
    target: Path, name: str, plan: Plan, said: Said, *, resume: bool, say: Callable[[str], None]
) -> Iterator[Path]:
    """A folder of this plan, in the hidden folder.

    If the block ends with an exception, the folder stays for ``--resume``, and the exception gets a note of that; but
    not if nothing is finished.

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
    with _locked(hidden, name):
        restore(target, lambda text: say(f"{printable(name)}: {text}"))
        written, folder = hidden / _PLAN, hidden / plan.key
        is_resumed = resume and written.exists()
        if is_resumed:
            plan.check_same(written.read_text(encoding="utf-8"), name)
        if not is_resumed:
            left = {path: found for path in _content(hidden) if path.is_dir() and (found := said(path))}
            remove(hidden)
            for path, found in left.items():
                what = found if path == folder else "parts of another computation are"
                kept = "; --resume would have kept them" if path == folder and not resume else ""
                say(f"{printable(name)}: {what} removed, which an interrupted run had finished{kept}")
            with placed(written) as temporary:
                temporary.write_text(plan.to_json(), encoding="utf-8")
        try:
            folder.mkdir(exist_ok=is_resumed)
            yield folder
        except BaseException as error:
            kept = said(folder)
            if not kept:
                remove(hidden)
            else:
                # What is wrong in an input may be that it could not be read for a while.
                how = " while the inputs are unchanged" if isinstance(error, ValueError) else ""
                note = f"{kept} finished; the same command with --resume continues{how}"
                # As add_note of Python 3.11 does.
                error.__notes__ = [*getattr(error, "__notes__", ()), note]
            raise


def remove(hidden: Path) -> None:
    """Empty a hidden folder, in which a worker may still be ending. Its lock stays.

    The plan goes first: without it, nothing that is left when the process is killed here is continued.
    """
    for _ in range(10):
        for path in (hidden / _PLAN, *_content(hidden)):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
        if not _content(hidden):
            return
        time.sleep(0.05)


def _content(hidden: Path) -> list[Path]:
    return [path for path in hidden.iterdir() if path.name != _LOCK] if hidden.exists() else []


@contextlib.contextmanager
def _locked(hidden: Path, name: str) -> Iterator[None]:
    """The hidden folder, which no other process has at the same time, where the system can; the lock ends with the
    process. If the folder is empty at the end, it is removed.
    """
    lock = _lock(hidden, name)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if not _content(hidden):
                (hidden / _LOCK).unlink(missing_ok=True)
        lock.close()
        with contextlib.suppress(OSError):  # it is not empty
            hidden.rmdir()


def _lock(hidden: Path, name: str) -> contextlib.ExitStack:
    """What ends the lock when it is closed."""
    while True:
        with contextlib.ExitStack() as stack, _naming(name, hidden):
            with contextlib.suppress(FileExistsError):
                hidden.mkdir()
            try:
                import fcntl
            except ImportError:
                return stack.pop_all()
            try:
                file = stack.enter_context((hidden / _LOCK).open("w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(file.fileno()), os.stat(hidden / _LOCK)):
                    return stack.pop_all()
            except FileNotFoundError:  # another process has removed the folder at its end
                if hidden.is_symlink():
                    raise
            except BlockingIOError as error:
                raise PosteriorFileError(f"{printable(name)}: another process is writing it.") from error


@contextlib.contextmanager
def _naming(name: str, hidden: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{printable(name)}: cannot be written: {printable(hidden)}"
        raise PosteriorFileError(f"{where}: {error.strerror}.") from error
