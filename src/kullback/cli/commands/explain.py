"""``kullback explain``."""

from typing import TYPE_CHECKING

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs

if TYPE_CHECKING:
    from kullback.io.reading import Reading


@click.command(name="explain", epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)
@posterior_inputs
@click.option("--value", type=str, help="A value from elsewhere, to be explained by common mistakes.")
def explain_command(*, a: str, b: str | None, reading: "Reading", value: str | None) -> None:
    """How KL(A‖B) is computed, how well it is conditioned, and which mistake gives another value.

    The value may be that of a single row, or the mean or sum over rows. It is compared to the precision with which it
    is written.
    """
    with one_line_errors():
        from kullback.explanation.explain import explain

        try:
            if value is not None:
                float(value)
        except ValueError:
            raise BadInput(f"--value must be a number, got {value!r}.") from None
        p, q = load_pair(a, b, reading)
        try:
            explanation = explain(p, q, value)
        except ValueError as error:
            raise BadInput(error) from error
        click.echo(str(explanation))


COMMANDS = (explain_command,)
