"""The arguments and options that commands share, and what they load."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput
from kullback.io.columns import SCALES
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.gaussians.gaussian import Gaussian

EXIT_CODES = "Exit codes: 0 done; 2 bad input or usage; 1 a defect of kullback; 130 interrupted."

POSTERIOR_FILES = """\b
Files: .npz, .safetensors, .pt (weights only; nothing is ever unpickled), .parquet.
Columns, one row for each input, found by name:
  mean      mu, mean, loc
  scale     std, stddev, scale | var, variance | logvar, log_var
            ("sigma" may be any of them: say --scale)
  identity  id (optional; both files are joined on it)
A label tells models in one file apart: mu_1, logvar_1, mu_2, logvar_2."""

SAMPLE_FILES = """\b
Files: .npy, .npz, .safetensors, .pt (weights only; nothing is ever unpickled): one array (n, d), or --columns.
       .csv (with or without a header), .parquet: the columns are the coordinates; id is left out."""


def load_pair(
    a: str, b: str | None, *, scale: Any, labels: str | None, by_order: bool, outputs: tuple[str | None, ...] = ()
) -> "tuple[list[Any], Gaussian, Gaussian, tuple[str, str]]":
    """The two models that the arguments speak of: ids, Gaussians and names."""
    from kullback.io.posteriors import read_pair

    for output in outputs:
        check_output(output, (a, b))
    chosen = two_labels(labels, "--models takes two labels") if labels else None
    if chosen and b is None and chosen[0] == chosen[1]:
        raise BadInput(f"--models: both are {printable(chosen[0])!r}. Two models of one file have two labels.")
    ids, p, q = read_pair(a, b, scale=scale, labels=chosen, by_order=by_order)
    if (p.ids is None) != (q.ids is None):
        lacking = q.source if q.ids is None else p.source
        click.echo(f"note: {lacking} has no ids, so rows are joined by order", err=True)
    names = (printable(p.name), printable(q.name))
    if names[0] == names[1]:
        folders = [printable(os.path.basename(os.path.dirname(os.path.abspath(path)))) for path in (a, b or a)]
        names = ("A", "B") if folders[0] == folders[1] else (f"{folders[0]}/{names[0]}", f"{folders[1]}/{names[1]}")
    return ids, p.gaussian, q.gaussian, names


def two_labels(text: str, what: str) -> tuple[str, str]:
    first, _, second = (part.strip() for part in text.partition(","))
    if not first or not second:
        raise BadInput(f"{what}, got {text!r}. Example: plain,beta.")
    return first, second


def posterior_inputs(command: Any) -> Any:
    """The arguments and options that say which posteriors to read."""
    for decorate in (
        click.option("--by-order", is_flag=True, help="Join rows by order even if there are ids."),
        click.option("--models", "labels", metavar="LABEL,LABEL", help="Which models to take from files with several."),
        click.option("--scale", type=click.Choice(SCALES), help="What sigma holds, or which scale to take of several."),
        click.argument("b", type=click.Path(), required=False),
        click.argument("a", type=click.Path()),
    ):
        command = decorate(command)
    return command


def check_output(output: str | None, inputs: Sequence[str | None]) -> None:
    """End with an error if an output is one of the inputs."""
    if output and any(os.path.exists(output) and os.path.samefile(output, path) for path in inputs if path):
        raise BadInput(f"{printable(output)}: is an input; writing to it would lose it.")
