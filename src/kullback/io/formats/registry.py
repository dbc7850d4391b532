"""The kinds of file that can be read, and how a file is opened."""

import contextlib
import importlib
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io import formats
from kullback.io.text import printable

Column = Tensor | np.ndarray[Any, Any]
Columns = dict[str, Callable[[], Column]]
"""By name, each of which is read when it is called."""

Contents = Literal["posteriors", "samples"]
T = TypeVar("T")


class Format(Protocol):
    """A module of this package."""

    SUFFIXES: tuple[str, ...]
    HOLDS: Contents
    IS_TABLE: bool

    def read(self, path: Path) -> Columns:
        """The columns of a file."""


def _formats() -> dict[str, Format]:
    names = [module.name for module in pkgutil.iter_modules(formats.__path__) if module.name != "registry"]
    modules = [cast(Format, importlib.import_module(f"{formats.__name__}.{name}")) for name in names]
    return {suffix: module for module in modules for suffix in module.SUFFIXES}


def suffixes(holding: Contents) -> tuple[str, ...]:
    """Of the files that may hold posteriors, or samples."""
    return tuple(s for s, module in _formats().items() if holding == "samples" or module.HOLDS == "posteriors")


def is_table(path: Path) -> bool:
    """Do the columns of a file of this kind belong together?"""
    return _formats()[path.suffix.lower()].IS_TABLE


def open_columns(path: Path, holding: Contents) -> Columns:
    """The columns of a file that may hold posteriors, or samples.

    Raises:
        PosteriorFileError: if there is no such file, its kind is not known, or it cannot be read.
    """
    known = suffixes(holding)
    if path.suffix.lower() not in known:
        raise PosteriorFileError(f"{printable(path)}: unknown kind of file; known are {', '.join(known)}.")
    if not path.is_file():
        raise PosteriorFileError(f"{printable(path)}: no such file.")
    module = _formats()[path.suffix.lower()]
    return safely(path, lambda: module.read(path))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Says which file an error is about."""
    try:
        yield
    except PosteriorFileError as error:
        message = str(error)
        where = f"{printable(path)}: "
        raise PosteriorFileError(message if message.startswith(where) else where + message) from None


def safely(path: Path, read: Callable[[], T]) -> T:
    """What ``read`` gives. Whatever else it raises is the fault of the file, which nobody has checked before."""
    with naming(path):
        try:
            return read()
        except PosteriorFileError:
            raise
        except Exception as error:
            reason = printable(str(error).strip().split("\n")[0])[:160] or type(error).__name__
            raise PosteriorFileError(f"cannot be read as {path.suffix}, or is damaged ({reason}).") from error
