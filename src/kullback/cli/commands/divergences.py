"""One command for each divergence of the registry, which computes it for each row of two files."""

import sys
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs
from kullback.divergences.record import Parameter, Record
from kullback.divergences.registry import RECORDS, function_of
from kullback.io.output import ROW_SUFFIXES
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.reading import Reading


def _row_command(record: Record) -> click.Command:
    """The command that computes one divergence for each row."""

    @posterior_inputs
    @click.option(
        "-o", "--output", type=click.Path(), metavar="OUT",
        help=f"The file to write, {', '.join(ROW_SUFFIXES)}. Without it, CSV on stdout.",
    )  # fmt: skip
    def command(*, a: str, b: str | None, reading: "Reading", output: str | None, **parameters: Any) -> None:
        with one_line_errors():
            from kullback.io.output import check_writable, write_csv, write_rows

            flags = [p.name for p in record.parameters if isinstance(p.default, bool) and parameters[p.name]]
            column = "_".join([record.module, *flags])
            if output:
                check_writable(output, ROW_SUFFIXES)
            ids, p, q = load_pair(a, b, reading, (output,))
            try:
                values = function_of(record)(p, q, **parameters)
            except ValueError as error:
                raise BadInput(error) from error
            if output:
                write_rows(output, ids, values, column)
                mean = values.double().mean().item()
                click.echo(f"wrote {len(ids):,} rows to {printable(output)} (mean {mean:.6g})", err=True)
            else:
                if sys.stdout.isatty():
                    ids = [printable(i) for i in ids]
                write_csv(sys.stdout, ids, values, column)

    for parameter in record.parameters:
        command = _option(parameter)(command)
    title = record.title[0].upper() + record.title[1:]
    summary = (
        f"{title}, row by row.\n\nIt is computed exactly, of A from B where the order matters. The result has the "
        f"columns id and {record.module}. A and B are files; a single file may hold both models. If it holds one, that "
        "is compared with the prior N(0, I)."
    )
    return click.command(record.module, help=summary, epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)(command)


def _option(parameter: Parameter) -> Any:
    """The option of a further argument of a divergence."""
    if isinstance(parameter.default, bool):
        return click.option(f"--{parameter.name}", is_flag=True, help=parameter.help)
    required = parameter.default is None
    extra: dict[str, Any] = {"required": True} if required else {"default": parameter.default, "show_default": True}
    description = f"{parameter.help.rstrip('.')}, {parameter.range}."
    return click.option(f"--{parameter.name}", type=float, help=description, **extra)


COMMANDS = tuple(_row_command(record) for record in RECORDS)
