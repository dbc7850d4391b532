"""``kullback pairwise`` and ``kullback nearest``."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import one_line_errors
from kullback.cli.inputs import (
    EXIT_CODES,
    OUTPUT,
    POSTERIOR_FILES,
    check_output,
    noted,
    options_of,
    posterior_inputs,
    read_models,
)
from kullback.cli.progress import progress
from kullback.cli.running import Running, running_options, say, say_infinite, say_skipped
from kullback.divergences.registry import RECORDS
from kullback.io.row_outputs import ROW_SUFFIXES
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.model import Model
    from kullback.io.reading import Reading

    Decorator = Callable[[Any], Any]

_EPILOG = POSTERIOR_FILES + "\n\n" + EXIT_CODES

_divergence: "Decorator" = click.option(
    "--divergence", type=click.Choice([record.module for record in RECORDS if not record.required]), default="kl",
    show_default=True, help="Of a row of A from a row of B.",
)  # fmt: skip


def _output(kinds: str) -> "Decorator":
    return click.option("-o", "--output", type=OUTPUT, metavar="OUT", required=True,
                        help=f"The file to write, {kinds}.")  # fmt: skip


@click.command(epilog=_EPILOG)
@posterior_inputs
@_output(".zarr, .npy, or .csv of up to a million numbers")
@_divergence
@running_options
def pairwise(*, a: str, b: str | None, reading: "Reading", output: str, divergence: str, running: Running) -> None:
    """The divergences of all rows of A from all rows of B.

    A matrix with a row for each row of A and a column for each of B, in the order of the files; their numbers and ids
    may differ. It is written block by block and may be larger than memory; it appears under its name when it is
    complete, and --resume continues a .zarr or .npy. A and B are files; a single file may hold both models. If it holds
    one, that is compared with itself. --on-bad skip leaves out the rows and the columns of the rows that it skips.
    """
    with one_line_errors():
        from kullback.io.kept import kept
        from kullback.io.rows import Skipped
        from kullback.jobs.pairwise import matrix_output, write_pairwise

        inputs = _inputs(a, b, output)
        place = matrix_output(output)
        models = _models(inputs, reading)
        with running.start() as engine, progress("pairwise", unit="numbers") as update:
            copies = len(models) * (1 + engine.processes)
            read = noted(lambda: [kept(model, skip=running.skips, copies=copies) for model in models])
            p, q = read[0], read[-1]
            infinite = write_pairwise(
                p, q, place, inputs, divergence, engine, reading=options_of(inputs, reading, running),
                resume=running.resume, progress=update, say=say,
            )  # fmt: skip
        say_skipped(functools.reduce(Skipped.merge, (of.skipped for of in read)))
        say_infinite(infinite)
        click.echo(f"wrote {len(p):,} × {len(q):,} divergences to {printable(output)}", err=True)


@click.command(epilog=_EPILOG)
@posterior_inputs
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows of B for each of A.")
@_output(f"{', '.join(ROW_SUFFIXES)}, or a folder of Parquet files, OUT/")
@_divergence
@running_options
def nearest(
    *, a: str, b: str | None, reading: "Reading", k: int, output: str, divergence: str, running: Running
) -> None:
    """The K rows of B that are nearest to each row of A, exactly.

    The result has K rows for each row of A, nearest first, with the columns id, rank (from 1), neighbour (the id in B)
    and the divergence. A row without an id has its number, counted from 0. The numbers and ids of the rows of A and B
    may differ. A and B are files; a single file may hold both models. If it holds one, that is searched itself, and
    each row is its own nearest.

    A is read some rows at a time. B is held in memory, by each process of Dask, where all of these copies take at most
    half of the memory of this machine; where they would take more, B is read in blocks, again for each part of A.
    """
    with one_line_errors():
        from kullback.io.joining import alone
        from kullback.io.kept import kept
        from kullback.io.row_outputs import row_output
        from kullback.jobs.nearest import Nearest, write_nearest

        inputs = _inputs(a, b, output)
        place = row_output(output)
        models = _models(inputs, reading)
        with running.start() as engine, progress("nearest", unit="rows") as update:
            rows = noted(lambda: alone(models[0], skip=running.skips))
            searched = noted(lambda: kept(models[-1], skip=running.skips, copies=1 + engine.processes))
            count, skipped, infinite = write_nearest(
                Nearest(rows, searched, k, divergence), place, inputs, engine,
                reading=options_of(inputs, reading, running), resume=running.resume, progress=update, say=say,
            )  # fmt: skip
        say_skipped(skipped if len(models) == 1 else skipped.merge(searched.skipped))
        say_infinite(infinite)
        click.echo(
            f"wrote the {k:,} nearest of {len(searched):,} for each of {count:,} to {printable(output)}", err=True
        )


def _inputs(a: str, b: str | None, output: str) -> list[str]:
    paths = [a] if b is None else [a, b]
    check_output(output, paths)
    return paths


def _models(inputs: list[str], reading: "Reading") -> "list[Model]":
    """One model, which is compared with itself, or two, whose rows need not match."""
    from kullback.io.joining import check_shapes

    models = read_models(inputs, reading)
    check_shapes(models[0], models[-1])
    return models


COMMANDS = (pairwise, nearest)
