"""The table of file formats, and the opening of a file in any of them. Imports neither torch nor NumPy."""

import contextlib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, cast

from kullback.errors import PosteriorFileError
from kullback.io import formats
from kullback.io.places import Place
from kullback.io.stored import Stored
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.stored import Column as Column

Columns: TypeAlias = dict[str, Stored]
"""The columns of a file by name."""

T = TypeVar("T")


class Unnamed(dict[str, Stored]):
    """The columns of a file that gives them an order and no names: a single array, or those called 0, 1, …."""


class Format(Protocol):
    """What every other module of this package provides."""

    SUFFIXES: tuple[str, ...]
    IS_TABLE: bool

    def read(self, path: Place) -> Columns:
        """The columns of a file."""


@functools.cache
def _formats() -> dict[str, Format]:
    names = [module.name for module in pkgutil.iter_modules(formats.__path__) if module.name != "registry"]
    modules = [cast(Format, importlib.import_module(f"{formats.__name__}.{name}")) for name in names]
    return {suffix: module for module in modules for suffix in module.SUFFIXES}


def suffixes() -> tuple[str, ...]:
    """The suffixes of files that can be read."""
    return tuple(_formats())


def table_suffixes() -> tuple[str, ...]:
    """The suffixes of files in which several columns of numbers are the coordinates of one set of samples."""
    return tuple(s for s, module in _formats().items() if module.IS_TABLE)


def open_columns(path: Place) -> Columns:
    """The columns of a file.

    Raises:
        PosteriorFileError: if the file does not exist, its format is not known, or it cannot be read.
    """
    suffix, known = path.suffix.lower(), suffixes()
    if not suffix and not path.exists():
        raise PosteriorFileError(f"{printable(path)}: no such file or folder.")
    if suffix not in known:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file; known are {', '.join(known)}.")
    module = _formats()[suffix]
    if not (path.is_file() or path.is_dir()):
        raise PosteriorFileError(f"{printable(path)}: {_why_no_file(path)}.")
    columns = safely(path, lambda: module.read(path))
    return type(columns)((name, OfFile(path, column)) for name, column in columns.items())


class OfFile(Stored):
    """A column of a file, whose errors name the file."""

    def __init__(self, path: Place, column: Stored) -> None:
        self.path, self.column, self.name = path, column, column.name

    @property
    def shape(self) -> tuple[int, ...]:  # noqa: D102
        return safely(self.path, lambda: self.column.shape)

    @property
    def breaks(self) -> Sequence[int]:  # noqa: D102
        return safely(self.path, lambda: self.column.breaks)

    @property
    def is_sliced(self) -> bool:  # noqa: D102
        return safely(self.path, lambda: self.column.is_sliced)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":  # noqa: D102
        batches = safely(self.path, lambda: self.column.batches(start, stop, size))
        while (batch := safely(self.path, lambda: next(batches, None))) is not None:
            yield batch

    @property
    def has_codes(self) -> bool:  # noqa: D102
        return safely(self.path, lambda: self.column.has_codes)

    def as_text(self) -> Stored:  # noqa: D102
        return OfFile(self.path, self.column.as_text())

    def place(self, row: int) -> str:  # noqa: D102
        return self.column.place(row)

    def beside(self, others: Sequence[Stored]) -> "OfFile | None":  # noqa: D102
        own = [other.column for other in others if isinstance(other, OfFile) and other.path == self.path]
        whole = self.column.beside(own) if len(own) == len(others) else None
        return None if whole is None else OfFile(self.path, whole)

    def __len__(self) -> int:
        return safely(self.path, lambda: len(self.column))

    def __call__(self) -> "Column":
        """The whole column."""
        return safely(self.path, self.column)


def _why_no_file(path: Place) -> str:
    """Why something is no file to read: it is not there, it cannot be reached, or it is a pipe or a device."""
    if not isinstance(path, Path):
        return "no such file"
    try:
        path.stat()
    except FileNotFoundError:
        return "no such file"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return "is no regular file"


@contextlib.contextmanager
def naming(path: object) -> Iterator[None]:
    """Put the name of the file before the message of a :class:`PosteriorFileError` that is raised in the block."""
    try:
        yield
    except PosteriorFileError as error:
        where, message = f"{printable(path)}: ", str(error)
        if error.names_file:
            raise
        named = PosteriorFileError(message if message.startswith(where) else where + message)
        named.names_file = True
        raise named from None


def safely(path: Place, read: Callable[[], T]) -> T:
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
            is_file = path.suffix.lower() in suffixes()
            kind = f" as {path.suffix}, or is damaged" if is_file else ""
            raise PosteriorFileError(f"cannot be read{kind} ({reason}).") from error
