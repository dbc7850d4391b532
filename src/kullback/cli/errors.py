"""The errors with which commands end: one line and exit code 2 for bad input, a traceback for a defect."""

import contextlib
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
        raise BadInput(error) from error
    except OSError as error:
        is_of_file = error.filename is not None and error.strerror is not None
        raise BadInput(f"{error.filename}: {error.strerror}." if is_of_file else error) from error
    except (MemoryError, RuntimeError) as error:
        from kullback.numerics.memory import exhausted

        why = exhausted(error)
        if why is None:
            raise
        raise BadInput(why) from error
