"""Files and folders that appear under a name only when they are whole and on the disk."""

import contextlib
import os
import re
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from kullback.errors import PosteriorFileError

# s3://bucket, and what a path makes of it, s3:/bucket; not the drive C:/.
_ADDRESS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:/")


def output_path(name: str | os.PathLike[str]) -> Path:
    """The path of an output.

    Raises:
        PosteriorFileError: if the name is empty, or an address of something elsewhere.
    """
    text = os.fspath(name)
    if not text:
        raise PosteriorFileError("the name of the output is empty. Give a path; is a variable of the shell not set?")
    if _ADDRESS.match(text):
        raise PosteriorFileError(f"{text}: outputs are written to the file systems of this machine. Give a path.")
    return Path(text)


def check_is_file(path: Path) -> None:
    """Check that what has this name, if anything, is a file, which another can replace.

    Raises:
        PosteriorFileError: if it is not.
    """
    if path.is_dir():
        raise PosteriorFileError(f"{path}: is a folder. Choose the name of a file.")
    if path.exists() and not path.is_file():
        raise PosteriorFileError(f"{path}: is a pipe or a device, which a file cannot replace.")


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if path.is_dir() and os.name == "nt":  # where a folder cannot be opened
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def publish(made: Path, path: Path) -> None:
    """Give a complete file or folder its name, in the place of an older one.

    Not even a power cut leaves a part of it under that name. A folder cannot replace another in one step: where the
    process is killed between the two steps, :func:`restore` brings the older one back.
    """
    if made.is_dir():
        _publish_folder(made, path)
        return
    # Temporary files are private. Give this one the permissions of the file it replaces, or of a new file.
    umask = os.umask(0)
    os.umask(umask)
    os.chmod(made, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~umask)
    sync(made)
    os.replace(made, path)
    sync(path.parent)


def _publish_folder(made: Path, path: Path) -> None:
    for folder, *_ in os.walk(made):
        sync(Path(folder))
    before = set_aside(path)
    if path.exists():
        _discard(before, made.parent)
        os.replace(path, before)
    try:
        os.replace(made, path)
    except OSError:
        if before.exists() and not path.exists():
            os.replace(before, path)
        raise
    sync(path.parent)
    _discard(before, made.parent)


def restore(path: Path, say: Callable[[str], None]) -> None:
    """Bring back the folder that a process which was killed had set aside, to put another in its place.

    Args:
        path: the name of the folder.
        say: is told if that was so.
    """
    before = set_aside(path)
    if before.exists() and not path.exists():
        os.replace(before, path)
        sync(path.parent)
        say("the earlier result is back, which a run that was killed had set aside")


def set_aside(path: Path) -> Path:
    """Where an older folder waits until the new one has its name."""
    return path.with_name(f".{path.name}.kullback-before")


def _discard(old: Path, folder: Path) -> None:
    """Remove what is there, if anything. It is whole as long as it has its name."""
    if old.exists():
        nameless = folder / f".{uuid.uuid4().hex}"
        os.replace(old, nameless)
        shutil.rmtree(nameless, ignore_errors=True)
