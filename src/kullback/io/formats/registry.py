"""The table of file formats, and the opening of a file in any of them. Imports neither torch nor NumPy."""

import contextlib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, cast

from kullback.errors import PosteriorFileError
from kullback.io import formats
from kullback.io.text import printable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Column = Tensor | np.ndarray[Any, Any]
    Columns = dict[str, Callable[[], Column]]
    """The columns of a file by name; calling one loads it."""

Contents = Literal["posteriors", "samples"]
T = TypeVar("T")


class Unnamed(dict[str, Callable[[], Any]]):
    """The columns of a file that gives them an order and no names; they are called 0, 1, …."""

    @classmethod
    def of(cls, columns: Iterable[Callable[[], Any]]) -> "Unnamed":
        """These columns in their order."""
        return cls((str(i), column) for i, column in enumerate(columns))


class Format(Protocol):
    """What every other module of this package provides."""

    SUFFIXES: tuple[str, ...]
    HOLDS: Contents
    IS_TABLE: bool

    def read(self, path: Path) -> "Columns":
        """The columns of a file."""


@functools.cache
def _formats() -> dict[str, Format]:
    names = [module.name for module in pkgutil.iter_modules(formats.__path__) if module.name != "registry"]
    modules = [cast(Format, importlib.import_module(f"{formats.__name__}.{name}")) for name in names]
    return {suffix: module for module in modules for suffix in module.SUFFIXES}


def suffixes(holding: Contents) -> tuple[str, ...]:
    """The suffixes of files that may contain posteriors, or of those that may contain samples."""
    return tuple(s for s, module in _formats().items() if holding == "samples" or module.HOLDS == "posteriors")


def table_suffixes() -> tuple[str, ...]:
    """The suffixes of files in which several columns of numbers are the coordinates of one set of samples."""
    return tuple(s for s, module in _formats().items() if module.IS_TABLE)


def open_columns(path: Path, holding: Contents) -> "Columns":
    """The columns of a file that may contain posteriors, or of one that may contain samples.

    Raises:
        PosteriorFileError: if the file does not exist, its format is not known, or it cannot be read.
    """
    suffix, known = path.suffix.lower(), suffixes(holding)
    if suffix not in known:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file; known are {', '.join(known)}.")
    if not path.is_file():
        raise PosteriorFileError(f"{printable(path)}: {_why_no_file(path)}.")
    return safely(path, lambda: _formats()[suffix].read(path))


def _why_no_file(path: Path) -> str:
    """Why something is no file to read: it is not there, it cannot be reached, or it is a pipe or a device."""
    try:
        path.stat()
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "is no regular file"


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the name of the file before the message of a :class:`PosteriorFileError` that is raised in the block."""
    try:
        yield
    except PosteriorFileError as error:
        message = str(error)
        where = f"{printable(path)}: "
        raise PosteriorFileError(message if message.startswith(where) else where + message) from None


def safely(path: Path, read: Callable[[], T]) -> T:
    """The result of ``read``, with any exception that it raises turned into a :class:`PosteriorFileError`.

    Files are foreign input, and libraries raise exceptions of many types for damaged ones.

    Raises:
        PosteriorFileError: if the file cannot be read.
        MemoryError: if memory runs out, which says nothing against the file.
    """
    with naming(path):
        try:
            return read()
        except PosteriorFileError:
            raise
        except Exception as error:
            from kullback.numerics.memory import NoRoom, exhausted

            where, why = f"{printable(path)}: ", exhausted(error)
            if why is not None:
                raise NoRoom(why if why.startswith(where) else where + why) from error
            if isinstance(error, OSError) and error.errno is not None:
                raise PosteriorFileError(f"cannot be read: {error.strerror}.") from error
            reason = printable(str(error).strip().split("\n")[0])[:160] or type(error).__name__
            raise PosteriorFileError(f"cannot be read as {path.suffix}, or is damaged ({reason}).") from error
