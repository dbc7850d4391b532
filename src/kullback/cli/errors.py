"""The errors with which commands end: one line and exit code 2 for bad input, a traceback for a defect."""

import contextlib
import io
import sys
from collections.abc import Iterator

import click

from kullback.errors import NoClosedForm, NotPositiveDefinite, PosteriorFileError, ShapeError
from kullback.io.text import printable


class BadInput(click.ClickException):
    """Input that cannot be used. The message is printed on one line."""

    exit_code = 2

    def __init__(self, message: object) -> None:
        super().__init__(printable(message))


class ClosedPipe(Exception):
    """The pipe that we write to is closed. It is no OSError, because click would turn that into exit code 1."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn errors about input into :class:`BadInput`; any other exception is a defect and keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:  # an OSError, but not an error of the input
        raise ClosedPipe from error
    except (PosteriorFileError, ShapeError, NoClosedForm, NotPositiveDefinite) as error:
        raise BadInput(with_notes(error)) from error
    except OSError as error:
        is_of_file = error.filename is not None and error.strerror is not None
        raise BadInput(with_notes(error, f"{error.filename}: {error.strerror}." if is_of_file else None)) from error
    except (MemoryError, RuntimeError) as error:
        from kullback.numerics.memory import exhausted

        why = exhausted(error)
        if why is None:
            raise
        raise BadInput(with_notes(error, why)) from error


class Stdout(io.TextIOWrapper):
    """The standard output, whose errors are told in one line, whatever is written."""

    def write(self, text: str) -> int:
        """As a text file does."""
        with _naming_stdout():
            return super().write(text)

    def flush(self) -> None:
        """As a text file does."""
        with _naming_stdout():
            super().flush()


@contextlib.contextmanager
def _naming_stdout() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BadInput(f"stdout: cannot be written: {error.strerror}.") from error


def with_notes(error: BaseException, message: str | None = None) -> str:
    """What an exception says, or a message in its place, and what was noted on the way."""
    said = [str(error) if message is None else message, *getattr(error, "__notes__", ())]
    return "; ".join(text.removesuffix(".") for text in said) if len(said) > 1 else said[0]
