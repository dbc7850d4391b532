"""Writing of results. A file appears under its name only when it is complete."""

import contextlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.numerics.files import check_is_file, output_path, publish

T = TypeVar("T")


def json_of(numbers: Any) -> str:
    """Numbers, lists and strings as JSON; null for a number that is not finite."""
    return json.dumps(finite(numbers), indent=2, ensure_ascii=False, allow_nan=False)


def finite(x: T) -> T:
    """``x`` with None for every number in it that is not finite, which JSON cannot express."""
    if isinstance(x, dict):
        return cast(T, {key: finite(value) for key, value in x.items()})
    if isinstance(x, list):
        return cast(T, [finite(value) for value in x])
    return cast(T, None) if isinstance(x, float) and not math.isfinite(x) else x


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path that replaces ``path`` when the block ends, and is deleted if the block raises an exception."""
    named, path = path, Path(os.path.realpath(output_path(path)))
    try:
        handle, temporary = tempfile.mkstemp(prefix=".kullback-", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise PosteriorFileError(f"{printable(named)}: cannot be written: {error.strerror}.") from error
    os.close(handle)
    try:
        yield Path(temporary)
        publish(Path(temporary), path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(named)) from error  # of a full disk, which names no file
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, completely or not at all.

    A byte of the name of a file that is not UTF-8 is written as an escape sequence, which in JSON means the same.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def check_writable(path: str | os.PathLike[str], suffixes: Sequence[str]) -> None:
    """Check, before any work is done, that a file of this name, with one of these suffixes, can be written.

    Raises:
        PosteriorFileError: if it cannot.
    """
    check_place(path, suffixes)
    check_is_file(Path(path))


def check_place(path: str | os.PathLike[str], suffixes: Sequence[str] | None = None) -> None:
    """Check that something of this name, with one of these suffixes if there are any, can be written.

    Raises:
        PosteriorFileError: if it cannot.
    """
    path = output_path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file to write; known are {', '.join(suffixes)}.")
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # links that run in a circle, a name that is too long, a folder that is closed
        raise PosteriorFileError(f"{printable(path)}: cannot be written: {error.strerror}.") from error
    # Behind a link, what it points to is written.
    folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
    if not folder.is_dir():
        raise PosteriorFileError(f"{printable(path)}: there is no folder {printable(folder)}.")
    if not os.access(folder, os.W_OK):
        raise PosteriorFileError(f"{printable(path)}: the folder {printable(folder)} is not writable.")
