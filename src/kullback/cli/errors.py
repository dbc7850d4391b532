"""How a command ends: bad input in one line with exit code 2, anything else as the defect it is."""

import contextlib
import sys
from collections.abc import Iterator

import click

from kullback.errors import PosteriorFileError, ShapeError
from kullback.io.text import printable


class BadInput(click.ClickException):
    """Input that cannot be used; the message is the one line that is printed."""

    exit_code = 2


class ClosedPipe(Exception):
    """The pipe that we write to is closed. Not an OSError, of which click makes exit code 1 before we see it."""


@contextlib.contextmanager
def one_line_errors() -> Iterator[None]:
    """Bad input ends with one line and exit code 2; anything else is a defect and keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:  # an OSError, but nobody's bad input
        raise ClosedPipe from error
    except (PosteriorFileError, ShapeError, OSError) as error:
        raise BadInput(printable(str(error))) from error
