"""A command for each divergence of the registry, which computes it for each row."""

import sys
from typing import Any

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs
from kullback.divergences.record import Record
from kullback.divergences.registry import RECORDS, function_of
from kullback.io.text import printable


def _row_command(record: Record) -> click.Command:
    """The command that computes one divergence of each row."""

    @posterior_inputs
    @click.option(
        "-o", "--output", type=click.Path(), metavar="OUT",
        help="Where to: .npz, .parquet or .csv. Without: CSV on stdout.",
    )  # fmt: skip
    def command(*, a: str, b: str | None, output: str | None, **options: Any) -> None:
        with one_line_errors():
            from kullback.io.output import ROW_KINDS, check_writable, write_csv, write_rows

            further = {parameter.name: options.pop(parameter.name) for parameter in record.parameters}
            if output:
                check_writable(output, ROW_KINDS)
            ids, p, q, _ = load_pair(a, b, **options, outputs=(output,))
            try:
                values = function_of(record)(p, q, **further)
            except ValueError as error:
                raise BadInput(str(error)) from error
            if output:
                write_rows(output, ids, values, record.module)
                mean = values.double().mean().item()
                click.echo(f"wrote {len(ids):,} rows to {printable(output)} (mean {mean:.6g})", err=True)
            else:
                if sys.stdout.isatty():
                    ids = [printable(i) for i in ids]
                write_csv(sys.stdout, ids, values, record.module)

    for parameter in record.parameters:
        given = (
            {"required": True} if parameter.default is None else {"default": parameter.default, "show_default": True}
        )
        description = f"{parameter.help.rstrip('.')}, {parameter.range}."
        command = click.option(f"--{parameter.name}", type=float, help=description, **given)(command)
    called = "KL(A‖B)" if record.module == "kl" else f"The {record.title} of A and B"
    summary = (
        f"{called}, of each row, exactly.\n\nThe result has the columns id and {record.module}. A and B are files; a "
        "single file may hold both models."
    )
    return click.command(record.module, help=summary, epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)(command)


COMMANDS = tuple(_row_command(record) for record in RECORDS)
