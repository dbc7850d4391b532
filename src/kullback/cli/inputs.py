"""The arguments and options that commands share, and the loading of the files that they name."""

import os
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput
from kullback.io.columns import SCALES
from kullback.io.formats.registry import suffixes, table_suffixes
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.model import Posteriors

EXIT_CODES = (
    "Exit codes: 0 done; 1 a condition of --fail-if is met, or, with a traceback, a defect of kullback; 2 bad input or "
    "usage; 130 interrupted."
)

ARGUMENTS = "kullback.arguments"
"""Where a context of click keeps the arguments of this process."""


def command_line() -> str:
    """The command as it was given, for a shell."""
    return shlex.join(["kullback", *click.get_current_context().meta[ARGUMENTS]])


POSTERIOR_FILES = f"""\b
Files: {", ".join(suffixes("posteriors"))}; nothing is ever unpickled.
Columns, one row for each input, found by name:
  mean      mu, mean, loc
  scale     std, stddev, scale | var, variance | logvar, log_var | log_std, log_sigma, log_scale
            (sigma may be any of them: say --scale)
            or cov, covariance, sigma of shape (N, d, d), or (d, d) beside one mean
  identity  id (optional; rows of two files are joined by it)
Labels distinguish the models of one file: mu_1, logvar_1, mu_2, logvar_2."""

SAMPLE_FILES = f"""\b
Files: {", ".join(suffixes("samples"))}; nothing is ever unpickled.
A file holds one array of shape (n, d), or --columns chooses one of several.
In {" and ".join(table_suffixes())} the columns are the coordinates, without id; a header is optional."""


def load_pair(
    a: str, b: str | None, *, scale: Any, labels: str | None, by_order: bool, outputs: tuple[str | None, ...] = ()
) -> "tuple[list[Any], Posteriors, Posteriors, tuple[str, str]]":
    """The ids of the rows, the posteriors of the two models, and their names.

    Raises:
        BadInput: if ``labels`` is not two labels, or one of ``outputs`` is an input.
        PosteriorFileError: if a file does not contain the model, or the rows cannot be joined.
    """
    from kullback.io.posteriors import distinct_names, read_pair

    for output in outputs:
        check_output(output, (a, b))
    chosen = two_labels(labels, "--models takes two labels") if labels else None
    if chosen and b is None and chosen[0] == chosen[1]:
        raise BadInput(f"--models: both labels are {chosen[0]!r}. Give two different labels for models of one file.")
    ids, p, q = read_pair(a, b, scale=scale, labels=chosen, by_order=by_order)
    if (p.ids is None) != (q.ids is None):
        lacking = q.source if q.ids is None else p.source
        click.echo(f"note: {lacking} has no ids, so rows are joined by order", err=True)
    first, second = distinct_names([printable(p.name), printable(q.name)], [a, b or a])
    return ids, p, q, (first, second)


def two_labels(text: str, requirement: str) -> tuple[str, str]:
    """The two parts of ``text`` around its comma; ``requirement`` begins the message if there are not two."""
    first, _, second = (part.strip() for part in text.partition(","))
    if not first or not second:
        raise BadInput(f"{requirement}, got {text!r}. Example: plain,beta.")
    return first, second


def posterior_inputs(command: Any) -> Any:
    """Add the arguments and options that determine which posteriors a command reads."""
    for decorate in (
        click.option("--by-order", is_flag=True, help="Join rows by order even if there are ids."),
        click.option("--models", "labels", metavar="LABEL,LABEL", help="The models to read from files with several."),
        click.option(
            "--scale", type=click.Choice(SCALES), help="What sigma contains, or which of several scales to read."
        ),
        click.argument("b", type=click.Path(), required=False),
        click.argument("a", type=click.Path()),
    ):
        command = decorate(command)
    return command


def check_output(output: str | None, inputs: Sequence[str | None]) -> None:
    """Raise :class:`BadInput` if an output is one of the inputs."""
    if output and any(os.path.exists(output) and os.path.samefile(output, path) for path in inputs if path):
        raise BadInput(f"{output}: is an input, which writing would destroy. Choose another output.")
