"""The arguments and options that commands share, and the loading of the files that they name."""

import functools
import os
import shlex
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kullback.cli.errors import BadInput
from kullback.errors import PosteriorFileError
from kullback.io.columns import NAMES, SCALE_KINDS, SCALES, option
from kullback.io.datasets import parts
from kullback.io.formats.registry import suffixes, table_suffixes
from kullback.io.places import place
from kullback.io.text import printable
from kullback.numerics.files import output_path

if TYPE_CHECKING:
    from kullback.cli.running import Running
    from kullback.gaussians.gaussian import Gaussian
    from kullback.io.model import Model
    from kullback.io.reading import Reading
    from kullback.io.rows import ModelRows

T = TypeVar("T")

EXIT_CODES = (
    "Exit codes: 0 done; 1 a condition of --fail-if is met, or, with a traceback, a defect of kullback; 2 bad input or "
    "usage; 130 interrupted; 143 terminated."
)

INPUT = click.Path(readable=False)
"""A path that is read; whether it can be is asked when it is opened."""


class _Output(click.Path):
    """A path that is written."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            output_path(value)
        except PosteriorFileError as error:
            raise BadInput(f"{param.opts[-1] if param else 'output'}: {error}") from error
        return super().convert(value, param, ctx)


OUTPUT = _Output()
"""A path that is written; whether it can be is asked by the command."""

ARGUMENTS = "kullback.arguments"
"""Where a context of click keeps the arguments of this process."""


def command_line() -> str:
    """The command as it was given, for a shell."""
    return shlex.join(["kullback", *click.get_current_context().meta[ARGUMENTS]])


POSTERIOR_FILES = f"""\b
Files: {", ".join(suffixes())}; nothing is ever unpickled. Files of one array each
(.npy, .pt) are a model together: those of a folder, or two as one argument, a_mu.npy,a_logvar.npy. Other files in a
folder, or those of a pattern in quotes, 'run/*.parquet', are read one after the other.
Columns, one row for each input, found by name:
  mean      {", ".join(NAMES["mean"])}
  scale     {" | ".join(", ".join(NAMES[kind]) for kind in SCALES)}
            (sigma may be any of them: say --scale)
            or {", ".join(NAMES["covariance"])}, sigma of shape (N, d, d), or (d, d) beside one mean
            or by their options: --mean z_loc --logvar z_ls
  identity  id, or --id NAME (optional; rows of two files are joined by it)
Labels distinguish the models of one file: mu_1, logvar_1, mu_2, logvar_2."""

SAMPLE_FILES = f"""\b
Files: {", ".join(suffixes())}; nothing is ever unpickled.
A file holds one array of shape (n, d), or --columns chooses one of several.
In {" and ".join(table_suffixes())} the columns are the coordinates, without id; a header is optional."""


def load_rows(
    a: str,
    b: str | None,
    reading: "Reading",
    outputs: tuple[str | None, ...] = (),
    *,
    skip: bool = False,
) -> "tuple[ModelRows, list[str]]":
    """The rows of one model, or of two side by side, and the names of the models.

    Raises:
        BadInput: if one of ``outputs`` is an input.
        PosteriorFileError: if a file does not contain the model, or the rows cannot be joined.
    """
    from kullback.io.joining import alone, joined
    from kullback.io.posteriors import distinct_names

    paths = [a] if b is None else [a, b]
    for output in outputs:
        check_output(output, paths)
    if b and len(reading.labels) == 1:
        raise _not_two_labels(reading.labels[0])
    models = read_models(paths, reading)
    if len(models) == 1:
        (only,) = models
        return noted(lambda: alone(only, skip=skip)), [printable(only.name)]
    p, q = models
    rows = noted(lambda: joined(p, q, skip=skip))
    if p.has_ids != q.has_ids:
        lacking = p.source if q.has_ids else q.source
        click.echo(f"note: {lacking} has no ids, so rows are joined by order", err=True)
    return rows, distinct_names([printable(p.name), printable(q.name)], [a, b or a])


def load_pair(a: str, b: str | None, reading: "Reading") -> "tuple[Gaussian, Gaussian]":
    """The Gaussians of two models; of one model, those and the standard normal prior.

    Raises as :func:`load_rows` does.
    """
    from kullback.gaussians.gaussian import Gaussian

    rows, _ = load_rows(a, b, reading)
    p, *q = noted(rows.gaussians)
    if q:
        return p, q[0]
    note_prior(rows)
    return p, Gaussian.standard(p.event_shape)


def note_prior(rows: "ModelRows") -> None:
    """Say that a single model is compared with the prior."""
    click.echo(f"note: {rows.models[0].source} holds one model, so B is the prior, q = N(0, I)", err=True)


def noted(read: "Callable[[], T]") -> "T":
    """The result of ``read``, whose warnings are printed as notes."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = read()
    for message in dict.fromkeys(str(warning.message) for warning in said):
        click.echo(f"note: {message}", err=True)
    return found


def read_models(paths: Sequence[str], reading: "Reading") -> "list[Model]":
    """One model of each file, or those of a single file, with notes of what was read in a lower precision than it has,
    and of covariances that are singular.

    Raises as :meth:`Reading.models` does.
    """
    from kullback.io.model import Posteriors

    models = noted(lambda: reading.models(paths))
    for model in models:
        if isinstance(model, Posteriors) and not model.gaussian.scale.has_density:
            g = model.gaussian
            singular = int(g.scale.half_log_det(g.event_shape).isneginf().sum())
            click.echo(
                f"note: {model.source}: {singular:,} of {len(g):,} covariances {'is' if singular == 1 else 'are'} "
                "singular; where two supports differ, every divergence but wasserstein2 has its greatest value",
                err=True,
            )
    return models


def _not_two_labels(text: str | None) -> BadInput:
    return BadInput(f"--models takes two labels, got {text!r}. Example: plain,beta.")


def posterior_inputs(command: Any) -> Any:
    """Add the arguments and options that determine which posteriors a command reads. It gets ``a``, ``b`` and, for
    the options, ``reading``.
    """

    @functools.wraps(command)
    def reading_command(**arguments: Any) -> Any:
        stated = {name: arguments.pop(name) for name in ("scale", "labels", "by_order", "ids", "mean", *SCALE_KINDS)}
        return command(reading=_reading(**stated), **arguments)

    for decorate in (
        click.option("--by-order", is_flag=True, help="Join rows by order even if there are ids."),
        click.option(
            "--id", "ids", metavar="NAME", help="The column that identifies the rows. NAME,NAME for two models."
        ),
        click.option("--models", "labels", metavar="LABEL,LABEL", help="The models to read from files with several."),
        *(
            click.option(option(kind), kind, metavar="NAME", help=f"The column of the scale, given as {kind}.")
            for kind in reversed(SCALE_KINDS)
        ),
        click.option(
            "--mean",
            metavar="NAME",
            help="The column of means, with one of the scale options below. NAME,NAME for two models.",
        ),
        click.option(
            "--scale", type=click.Choice(SCALES), help="What sigma contains, or which of several scales to read."
        ),
        click.argument("b", type=INPUT, required=False),
        click.argument("a", type=INPUT),
    ):
        reading_command = decorate(reading_command)
    return reading_command


def _reading(
    *, scale: Any, labels: str | None, by_order: bool, ids: str | None, mean: str | None, **columns: str | None
) -> "Reading":
    """What the options say about reading."""
    from kullback.io.columns import Named
    from kullback.io.reading import Reading

    chosen = tuple(label.strip() for label in (labels or "").split(",")) if labels else ()
    if not all(chosen) or len(chosen) > 2:
        raise _not_two_labels(labels)
    if len(chosen) == 2 and chosen[0] == chosen[1]:
        raise BadInput(f"--models: both labels are {chosen[0]!r}. Give two different labels for models of one file.")
    if ids is not None and by_order:
        raise BadInput("--id and --by-order: rows are joined by one of both. Leave out the other.")
    keys = () if ids is None else tuple(part.strip() for part in ids.split(","))
    given: dict[Any, str] = {kind: name for kind, name in columns.items() if name is not None}
    if mean is None and not given:
        return Reading(scale, chosen, by_order, ids=keys)
    if mean is None or len(given) != 1 or scale:
        raise BadInput(
            f"a model has one mean and one scale: --mean NAME and one of {', '.join(map(option, SCALE_KINDS))} NAME, "
            "without --scale."
        )
    ((kind, name),) = given.items()
    means, scales = ([part.strip() for part in text.split(",")] for text in (mean, name))
    if len(means) != len(scales):
        raise BadInput(f"--mean {mean} and {option(kind)} {name}: each mean needs one scale.")
    named = tuple(Named(m, s, kind) for m, s in zip(means, scales, strict=True))
    return Reading(scale, chosen, by_order, named, keys)


def options_of(inputs: Sequence[str], reading: "Reading", running: "Running") -> dict[str, Any]:
    """What determines the rows beside the content of the files, by the names of the arguments and the options."""
    return {
        **dict(zip("AB", inputs, strict=False)),
        "--scale": reading.scale,
        "--models": ",".join(reading.labels) or None,
        "--by-order": reading.by_order,
        "--mean": ",".join(named.mean for named in reading.named) or None,
        **{option(named.kind): ",".join(of.scale for of in reading.named) for named in reading.named[:1]},
        "--on-bad": running.on_bad,
    }


def check_output(output: str | None, inputs: Sequence[str | None]) -> None:
    """Raise :class:`BadInput` if an output is one of the inputs, a folder that holds one, or in a store that is one."""
    if not output:
        return
    at = Path(os.path.realpath(output))
    for path in filter(None, inputs):
        files = parts(place(path))
        for file in (place(path), *files):
            if not isinstance(file, Path) or not file.exists():
                continue
            real = Path(os.path.realpath(file))
            is_in_store = file in files and file.is_dir() and real in at.parents
            if is_in_store or at in real.parents or (at.exists() and at.samefile(file)):
                raise BadInput(f"{output}: is an input, which writing would destroy. Choose another output.")
