"""The group of commands, and the entry point of the command line.

Exit codes: 0 for success; 1 if a condition of ``--fail-if`` is met, or, with a traceback, for a defect of kullback; 2
for bad input, which is reported in one line, or wrong usage; 130 for an interruption; 143 if the system asks
the process to end.
"""

import contextlib
import importlib
import io
import logging
import os
import pkgutil
import sys
from typing import NoReturn

import click

from kullback._version import __version__
from kullback.cli import commands as command_files
from kullback.cli.errors import BadInput, ClosedPipe, Stdout, with_notes
from kullback.cli.inputs import ARGUMENTS, EXIT_CODES
from kullback.cli.patterns import as_given
from kullback.cli.running import Terminated, heed_termination
from kullback.io.temporary import remove_all


class _Group(click.Group):
    """A group that keeps its arguments, so that a report can say how it was made."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[ARGUMENTS] = list(args)
        command = self.get_command(ctx, args[0]) if args else None
        arguments, notes = (args, []) if command is None else as_given(args, command.params)
        for note in notes:
            click.echo(f"note: {note}", err=True)
        return super().parse_args(ctx, arguments)


@click.group(cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="kullback")
def commands() -> None:
    """How far apart are Gaussians? Exact divergences between the posteriors of two VAEs."""


for _module in pkgutil.iter_modules(command_files.__path__):
    for _command in importlib.import_module(f"{command_files.__name__}.{_module.name}").COMMANDS:
        commands.add_command(_command)


def main() -> None:
    """Run the command of this process and exit with its code."""
    # Some encodings lack ‖ and σ; write escape sequences instead of failing.
    if isinstance(sys.stdout, io.TextIOWrapper):
        out = sys.stdout
        sys.stdout = Stdout(out.buffer, out.encoding, "backslashreplace", line_buffering=out.line_buffering)
    if isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(errors="backslashreplace")
    # Of several errors that tasks of a library find at once, one is reported; asyncio would log the others.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    heed_termination()
    try:
        code = commands.main(prog_name="kullback", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        _leave(with_notes(error.__cause__ or error, "interrupted"), 130)
    except Terminated as error:
        _leave(with_notes(error, "terminated"), 143)
    except ClosedPipe:
        # The reader of our output has closed it, as head does. Python would report that again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _leave(message: str, code: int) -> NoReturn:
    """End this process at once, whatever its threads still compute, but remove what it stored in passing."""
    click.echo(message, err=True)
    remove_all()
    with contextlib.suppress(OSError, BadInput):
        sys.stdout.flush()
    os._exit(code)
