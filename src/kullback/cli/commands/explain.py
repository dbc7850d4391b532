"""``kullback explain``."""

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs


@click.command(name="explain", epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)
@posterior_inputs
@click.option("--value", type=str, help="A value from elsewhere, to be explained by common mistakes.")
def explain_command(
    *, a: str, b: str | None, scale: str | None, labels: str | None, by_order: bool, value: str | None
) -> None:
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
        _, p, q, _ = load_pair(a, b, scale=scale, labels=labels, by_order=by_order)
        click.echo(str(explain(p.gaussian, q.gaussian, value)))


COMMANDS = (explain_command,)
