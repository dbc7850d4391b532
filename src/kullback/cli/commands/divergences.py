"""One command for each divergence of the registry, which computes it for each row of two files."""

import sys
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, OUTPUT, POSTERIOR_FILES, load_rows, note_prior, options_of, posterior_inputs
from kullback.cli.progress import progress
from kullback.cli.running import Running, running_options, say, say_infinite, say_skipped
from kullback.divergences.record import Parameter, Record
from kullback.divergences.registry import RECORDS
from kullback.io.row_outputs import ROW_SUFFIXES
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.reading import Reading


def _row_command(record: Record) -> click.Command:
    """The command that computes one divergence for each row."""

    @posterior_inputs
    @click.option(
        "-o", "--output", type=OUTPUT, metavar="OUT",
        help=f"The file to write, {', '.join(ROW_SUFFIXES)}, or a folder of Parquet files, OUT/. Without it, or as -, "
        "CSV on stdout.",
    )  # fmt: skip
    @running_options
    def command(
        *, a: str, b: str | None, reading: "Reading", output: str | None, running: Running, **parameters: Any
    ) -> None:
        with one_line_errors():
            from kullback.io.row_outputs import row_output
            from kullback.jobs.divergences import RowDivergence, stream_divergence, write_divergence

            if output in ("-", "/dev/stdout"):
                output = None
            running.check_output(output)
            place = row_output(output) if output else None
            # Processes start while the rows are opened and joined.
            with running.start() as engine:
                rows, _ = load_rows(a, b, reading, (output,), skip=running.skips)
                work = RowDivergence(rows, record.name, parameters)
                try:
                    work.check_parameters()
                except ValueError as error:
                    raise BadInput(error) from error
                with progress(record.title, unit="rows") as update:
                    if place is None:
                        printed = sys.stdout.isatty()
                        total = stream_divergence(work, sys.stdout.write, engine, is_printed=printed, progress=update)
                    else:
                        inputs = [path for path in (a, b) if path]
                        total = write_divergence(
                            work, place, inputs, engine, reading=options_of(inputs, reading, running),
                            resume=running.resume, progress=update, say=say,
                        )  # fmt: skip
            if len(rows.models) == 1:
                note_prior(rows)
            say_skipped(rows.unmatched.merge(total.skipped))
            say_infinite(total.infinite)
            if place:
                click.echo(f"wrote {total.count:,} rows to {printable(output)} (mean {total.mean:.6g})", err=True)

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
