"""``kullback compare``, and ``kullback demo``, which compares two models that are part of the package."""

import sys
from typing import TYPE_CHECKING

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs, two_labels
from kullback.cli.progress import progress
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare import Comparison


@click.command(epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)
@posterior_inputs
@click.option("--names", metavar="NAME,NAME", help="The names of the two models in the output.")
@click.option("--json", "json_path", type=click.Path(), metavar="FILE", help="Write all numbers as JSON.")
@click.option("--report", "report_path", type=click.Path(), metavar="FILE.html", help="Write one offline HTML page.")
def compare(
    *,
    a: str,
    b: str | None,
    scale: str | None,
    labels: str | None,
    by_order: bool,
    names: str | None,
    json_path: str | None,
    report_path: str | None,
) -> None:
    """Compare the posteriors of two models over the same inputs.

    A and B are files; a single file may hold both models.
    """
    with one_line_errors():
        from kullback.comparison.compare import compare_rows
        from kullback.io.output import check_writable, write_text

        if json_path:
            check_writable(json_path, (".json",))
        if report_path:
            check_writable(report_path, (".html", ".htm"))
        outputs = (json_path, report_path)
        ids, p, q, called = load_pair(a, b, scale=scale, labels=labels, by_order=by_order, outputs=outputs)
        if names:
            called = two_labels(names, "--names takes two names")
            if called[0] == called[1]:
                raise BadInput(f"--names: both are {called[0]!r}. Give two different names.")
        with progress("comparing") as update:
            comparison = compare_rows(ids, p, q, names=called, progress=update)
        _print(comparison)
        if json_path:
            write_text(json_path, comparison.to_json() + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)
        if report_path:
            comparison.report(report_path)
            click.echo(f"wrote {printable(report_path)}", err=True)


@click.command(epilog=EXIT_CODES)
@click.option("--json", "json_path", type=click.Path(), metavar="FILE", help="Write all numbers as JSON.")
@click.option("--report", "report_path", type=click.Path(), metavar="FILE.html", help="Write one offline HTML page.")
@click.pass_context
def demo(context: click.Context, json_path: str | None, report_path: str | None) -> None:
    """Compare two VAEs trained on handwritten digits, whose posteriors are part of the package."""
    from importlib.resources import as_file, files

    with as_file(files("kullback") / "data" / "digits") as folder:
        paths = {name: str(folder / f"{name}.npz") for name in ("standard", "beta")}
        context.invoke(
            compare, a=paths["standard"], b=paths["beta"], scale=None, labels=None, by_order=False, names=None,
            json_path=json_path, report_path=report_path,
        )  # fmt: skip


def _print(comparison: "Comparison") -> None:
    """Print tables on a terminal, and lines of ``key: value`` elsewhere."""
    if not sys.stdout.isatty():
        click.echo(str(comparison))
        return
    from rich.console import Console

    from kullback.comparison.report.terminal import show

    show(comparison, Console())


COMMANDS = (compare, demo)
