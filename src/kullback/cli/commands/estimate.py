"""``kullback estimate``."""

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, SAMPLE_FILES, check_output
from kullback.cli.progress import progress
from kullback.io.text import printable


@click.command(epilog=SAMPLE_FILES + "\n\n" + EXIT_CODES)
@click.argument("x", type=click.Path())
@click.argument("y", type=click.Path())
@click.option("--method", default="auto", show_default=True, help="calibrated (auto), gaussian or knn.")
@click.option("--seed", type=int, help="The same seed, the same digits.")
@click.option(
    "--columns", metavar="NAME[,NAME]", help="Which array to take of X and Y, or of each, where a file has several."
)
@click.option(
    "--json", "json_path", is_flag=False, flag_value="-", metavar="[FILE]",
    help="The numbers as JSON, on stdout or into a file. Without a file it comes after X and Y.",
)  # fmt: skip
def estimate(x: str, y: str, *, method: str, seed: int | None, columns: str | None, json_path: str | None) -> None:
    """KL(X‖Y) of the densities that samples were drawn from, with its error.

    X and Y are files of samples. If you have means and scales, kullback kl is exact and needs no samples.
    """
    with one_line_errors():
        from kullback.cli.estimate_report import lines, to_json
        from kullback.estimate.kl import kl_estimate
        from kullback.io.output import check_writable, write_text
        from kullback.io.samples import read_samples

        if json_path not in (None, "-"):
            check_writable(json_path, (".json",))
            check_output(json_path, (x, y))
        first, _, second = (name.strip() for name in (columns or "").partition(","))
        samples = [read_samples(path, name or None) for path, name in ((x, first), (y, second or first))]
        try:
            with progress("searching neighbours") as update:
                found = kl_estimate(*samples, method=method, seed=seed, progress=update)
        except ValueError as error:
            raise BadInput(str(error)) from error
        rows = [len(side) for side in samples]
        if json_path == "-":
            click.echo(to_json(found, rows))
            return
        for line in lines(found, rows):
            click.echo(line)
        if json_path:
            write_text(json_path, to_json(found, rows) + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)


COMMANDS = (estimate,)
