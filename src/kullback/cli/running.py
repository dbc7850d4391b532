"""The options that say how a long computation runs, which commands share."""

import functools
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

from kullback.cli.errors import BadInput
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.engines.base import Engine
    from kullback.io.rows import Skipped
    from kullback.jobs.infinite import Infinite


@dataclass(frozen=True)
class Running:
    """How a computation runs."""

    engine: str | None
    scheduler: str | None
    workers: int | None
    resume: bool
    on_bad: str

    @property
    def skips(self) -> bool:
        """Whether rows with values that are not possible are left out."""
        return self.on_bad == "skip"

    def start(self) -> "Engine":
        """The engine; it is a context manager.

        Raises:
            BadInput: if the options do not belong together, or Dask is not installed.
            ConnectionError: if no scheduler answers.
        """
        from kullback.engines.dask import Dask
        from kullback.engines.local import Local

        if self.engine == "local" and self.scheduler:
            raise BadInput("--scheduler is of a Dask cluster, and --engine local needs none. Leave one out.")
        try:
            if self.engine == "dask" or self.scheduler:
                return Dask(self.scheduler, self.workers)
            return Local(self.workers)
        except (ImportError, ValueError) as error:
            raise BadInput(error) from error

    def check_output(self, output: str | None, options: str = "--output") -> None:
        """Raise :class:`BadInput` if an interrupted run is to be continued that wrote no file."""
        if self.resume and not output:
            raise BadInput(f"--resume continues the writing of a file. Give {options}.")


def running_options(command: Any) -> Any:
    """Add the options that say how a command runs. It gets them as ``running``."""

    @functools.wraps(command)
    def running_command(**arguments: Any) -> Any:
        names = ("engine", "scheduler", "workers", "resume", "on_bad")
        return command(running=Running(**{name: arguments.pop(name) for name in names}), **arguments)

    for decorate in (
        click.option(
            "--on-bad", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
            help="What to do about a row with a value that is not possible; skip leaves it out and says so.",
        ),
        click.option(
            "--resume", is_flag=True,
            help="Keep what an interrupted run with the same inputs and options has finished of its file.",
        ),
        click.option(
            "--workers", type=click.IntRange(min=1), metavar="N",
            help="Threads, or processes of Dask, on this machine. One for each core unless said.",
        ),
        click.option(
            "--scheduler", metavar="URL", help="A running Dask scheduler, tcp://host:8786, that computes."
        ),
        click.option(
            "--engine", type=click.Choice(["local", "dask"]),
            help="Threads (local, unless --scheduler is given), or processes of Dask.",
        ),
    ):  # fmt: skip
        running_command = decorate(running_command)
    return running_command


def say(text: str) -> None:
    """Tell the user something beside the result."""
    click.echo(f"note: {text}", err=True)


def say_skipped(skipped: "Skipped") -> None:
    """Tell how many rows were left out, and list the first."""
    if not skipped.count:
        return
    rows = "row was" if skipped.count == 1 else "rows were"
    click.echo(f"note: {skipped.count:,} {rows} left out (--on-bad skip):", err=True)
    for place in skipped.first:
        click.echo(f"  {printable(place)}", err=True)
    if skipped.count > len(skipped.first):
        click.echo("  …", err=True)


def say_infinite(infinite: "Infinite") -> None:
    """Tell how many values are infinite."""
    if infinite.count:
        say(str(infinite))


class Terminated(BaseException):
    """The system asked this process to end. It is no KeyboardInterrupt, which click reports by itself."""


def heed_termination() -> None:
    """Let SIGTERM end this process as an exception does, so that what was begun is cleaned up."""

    def end(*_: Any) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, end)
