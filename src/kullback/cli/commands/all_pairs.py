"""``kullback pairwise`` and ``kullback nearest``."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, check_output, posterior_inputs, read_models
from kullback.divergences.registry import RECORDS
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.model import Posteriors
    from kullback.io.reading import Reading

    Decorator = Callable[[Any], Any]

_EPILOG = POSTERIOR_FILES + "\n\n" + EXIT_CODES

_divergence: "Decorator" = click.option(
    "--divergence", type=click.Choice([record.module for record in RECORDS if not record.required]), default="kl",
    show_default=True, help="Of a row of A from a row of B.",
)  # fmt: skip


@click.command(epilog=_EPILOG)
@posterior_inputs
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="OUT",
    required=True,
    help="The file to write, .zarr, .npy, or .csv of up to a million numbers.",
)
@_divergence
def pairwise(*, a: str, b: str | None, reading: "Reading", output: str, divergence: str) -> None:
    """The divergences of all rows of A from all rows of B.

    A matrix with a row for each row of A and a column for each of B, in the order of the files; their numbers and ids
    may differ. It is written block by block and may be larger than memory; it appears under its name when it is
    complete. A and B are files; a single file may hold both models. If it holds one, that is compared with itself.
    """
    with one_line_errors():
        from kullback.jobs.all_pairs import MATRIX_SUFFIXES, write_pairwise

        p, q = _two_models(a, b, reading, output, MATRIX_SUFFIXES)
        _run(lambda: write_pairwise(p, q, output, divergence))
        click.echo(f"wrote {len(p):,} × {len(q):,} divergences to {printable(output)}", err=True)


@click.command(epilog=_EPILOG)
@posterior_inputs
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows of B for each of A.")
@click.option(
    "-o", "--output", type=click.Path(), metavar="OUT", required=True, help="The file to write, .parquet, .csv or .npz."
)
@_divergence
def nearest(*, a: str, b: str | None, reading: "Reading", k: int, output: str, divergence: str) -> None:
    """The K rows of B that are nearest to each row of A, exactly.

    The result has K rows for each row of A, nearest first, with the columns id, rank (from 1), neighbour (the id in B)
    and the divergence. A row without an id has its number, counted from 0. The numbers and ids of the rows of A and B
    may differ. A and B are files; a single file may hold both models. If it holds one, that is searched itself, and
    each row is its own nearest.
    """
    with one_line_errors():
        from kullback.io.row_outputs import ROW_SUFFIXES
        from kullback.jobs.all_pairs import write_nearest

        p, q = _two_models(a, b, reading, output, ROW_SUFFIXES)
        _run(lambda: write_nearest(p, q, k, output, divergence))
        click.echo(f"wrote the {k:,} nearest of {len(q):,} for each of {len(p):,} to {printable(output)}", err=True)


def _two_models(
    a: str, b: str | None, reading: "Reading", output: str, suffixes: Sequence[str]
) -> "tuple[Posteriors, Posteriors]":
    from kullback.io.output import check_writable

    paths = [a] if b is None else [a, b]
    check_output(output, paths)
    check_writable(output, suffixes, folders=(".zarr",))
    models = [model.read() for model in read_models(paths, reading)]
    return models[0], models[-1]


def _run(write: Any) -> None:
    try:
        write()
    except (ValueError, ImportError) as error:
        raise BadInput(error) from error


COMMANDS = (pairwise, nearest)
