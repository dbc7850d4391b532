"""``kullback estimate``."""

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, INPUT, OUTPUT, SAMPLE_FILES, check_output
from kullback.cli.progress import progress
from kullback.io.text import printable


@click.command(epilog=SAMPLE_FILES + "\n\n" + EXIT_CODES)
@click.argument("x", type=INPUT)
@click.argument("y", type=INPUT, required=False)
@click.option("--method", default="auto", show_default=True, help="calibrated (auto), gaussian or knn.")
@click.option("--seed", type=int, help="A seed that makes the result reproducible.")
@click.option(
    "--columns", metavar="NAME[,NAME]", help="The array to read from X and Y, or one for each, if a file has several."
)
@click.option(
    "--json", "json_path", type=OUTPUT, is_flag=False, flag_value="-", metavar="[FILE]",
    help="Write JSON, to a file or to stdout. Without a file name, give --json after X and Y.",
)  # fmt: skip
def estimate(
    x: str, y: str | None, *, method: str, seed: int | None, columns: str | None, json_path: str | None
) -> None:
    """An estimate, with its error, of KL(X‖Y) between the densities that samples were drawn from.

    X and Y are files of samples; without Y it is the entropy of X. If you have means and scales, kullback kl is exact
    and needs no samples.
    """
    with one_line_errors():
        from kullback.cli.estimate_report import to_json, to_lines
        from kullback.estimate.entropy import entropy_estimate
        from kullback.estimate.kl import kl_estimate
        from kullback.io.output import check_writable, write_text
        from kullback.io.samples import read_samples

        if json_path not in (None, "-"):
            check_writable(json_path, (".json",))
            check_output(json_path, [path for path in (x, y) if path])
        first, _, second = (name.strip() for name in (columns or "").partition(","))
        if y is None and second:
            raise BadInput(f"--columns has a second name, {printable(second)!r}, but there is one file. Leave it out.")
        samples = [read_samples(path, name or None) for path, name in ((x, first), (y, second or first)) if path]
        if y is None and method != "auto":
            raise BadInput("--method is for two files: the entropy of one has a single method.")
        try:
            with progress("searching for neighbours") as update:
                result = (
                    entropy_estimate(samples[0], seed=seed)
                    if y is None
                    else kl_estimate(*samples, method=method, seed=seed, progress=update)
                )
        except ValueError as error:
            raise BadInput(error) from error
        rows = [side.shape[:-1].numel() if side.ndim > 1 else len(side) for side in samples]
        if json_path == "-":
            click.echo(to_json(result, rows))
            return
        for line in to_lines(result, rows):
            click.echo(line)
        if json_path:
            write_text(json_path, to_json(result, rows) + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)


COMMANDS = (estimate,)
