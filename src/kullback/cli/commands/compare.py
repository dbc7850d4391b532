"""``kullback compare``, and ``kullback demo``, which compares two models that are part of the package."""

import os
import sys
from typing import TYPE_CHECKING

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.gate import Condition
from kullback.cli.inputs import EXIT_CODES, POSTERIOR_FILES, load_pair, posterior_inputs, two_labels
from kullback.cli.progress import progress
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.alignment.align import Kind
    from kullback.comparison.compare import Comparison


def _list_scalars(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        from kullback.comparison.scalars import documented

        for name, text in documented().items():
            click.echo(f"{name}: {text}")
        context.exit()


@click.command(epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)
@posterior_inputs
@click.option("--names", metavar="NAME,NAME", help="The names of the two models in the output.")
@click.option(
    "--align",
    "alignments",
    metavar="KIND,…",
    default="permutation,rotation",
    show_default=True,
    help="Alignments to fit: permutation, rotation, rotation+shift, affine; or none.",
)
@click.option(
    "--fail-if",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Exit with 1 if a number meets a condition, such as 'kl_ab.aligned.mean > 2'; may be repeated.",
)
@click.option(
    "--list-scalars",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_scalars,
    help="List the numbers that --fail-if knows, and exit.",
)
@click.option(
    "--json", "json_path", type=click.Path(), metavar="FILE", help="Write all numbers as JSON; - prints only them."
)
@click.option(
    "--active-variance",
    type=float,
    default=0.01,
    show_default=True,
    help="A dimension is active if the variance over inputs of its mean exceeds this.",
)
@click.option(
    "--collapsed-nats",
    type=float,
    default=0.01,
    show_default=True,
    help="A dimension is collapsed if its rate is below this.",
)
@click.option(
    "--partner-share",
    type=float,
    default=0.5,
    show_default=True,
    help="Dimensions are partners if matching leaves less than this share of what chance leaves.",
)
@click.option("--brief", is_flag=True, help="Print the findings only.")
@click.option("--report", "report_path", type=click.Path(), metavar="FILE.html", help="Write one offline HTML page.")
def compare(
    *,
    a: str,
    b: str | None,
    scale: str | None,
    labels: str | None,
    by_order: bool,
    names: str | None,
    alignments: str,
    conditions: tuple[str, ...],
    json_path: str | None,
    active_variance: float,
    collapsed_nats: float,
    partner_share: float,
    brief: bool,
    report_path: str | None,
) -> None:
    """Compare the posteriors of two models over the same inputs.

    A and B are files; a single file may hold both models.
    """
    with one_line_errors():
        from kullback.comparison.compare import compare_rows
        from kullback.comparison.scalars import documented
        from kullback.comparison.statistics import Thresholds
        from kullback.io.output import check_writable, write_text

        thresholds = Thresholds(active_variance, collapsed_nats, partner_share)
        kinds = _kinds(alignments)
        gates = [Condition.parse(text, documented()) for text in conditions]
        to_stdout = json_path == "-"
        if json_path and not to_stdout:
            check_writable(json_path, (".json",))
        if report_path:
            check_writable(report_path, (".html", ".htm"))
        outputs = (None if to_stdout else json_path, report_path)
        ids, p, q, called = load_pair(a, b, scale=scale, labels=labels, by_order=by_order, outputs=outputs)
        if names:
            called = two_labels(names, "--names takes two names")
            if called[0] == called[1]:
                raise BadInput(f"--names: both are {called[0]!r}. Give two different names.")
        with progress("comparing") as update:
            comparison = compare_rows(ids, p, q, align=kinds, thresholds=thresholds, names=called, progress=update)
        if to_stdout:
            click.echo(comparison.to_json())
        elif brief:
            for finding in comparison.findings():
                click.echo(finding)
        else:
            _print(comparison)
        if json_path and not to_stdout:
            write_text(json_path, comparison.to_json() + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)
        if report_path:
            comparison.report(report_path)
            click.echo(f"wrote {printable(report_path)}", err=True)
        numbers = comparison.scalars()
        parts = (comparison.aligned, comparison.aggregated)
        reasons = " ".join(part for part in parts if isinstance(part, str)) or "Its alignment was not asked for."
        failures = [failure for gate in gates if (failure := gate.failure(numbers, reasons))]
    if failures:
        click.echo(f"failed: {'; '.join(failures)}", err=True)
        raise click.exceptions.Exit(1)


def _kinds(text: str) -> "tuple[Kind, ...]":
    """The kinds of alignment that an option names."""
    from kullback.alignment.align import KINDS

    names = [] if text.strip() == "none" else [part.strip() for part in text.split(",")]
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise BadInput(f"--align: {unknown[0]!r} is no kind of alignment. Give some of {', '.join(KINDS)}, or none.")
    return tuple(kind for kind in KINDS if kind in names)


@click.command(epilog=EXIT_CODES)
@click.option(
    "--json", "json_path", type=click.Path(), metavar="FILE", help="Write all numbers of the first comparison as JSON."
)
@click.option(
    "--report", "report_path", type=click.Path(), metavar="FILE.html",
    help="Write one offline HTML page for each comparison: FILE.html and FILE-beta.html.",
)  # fmt: skip
def demo(json_path: str | None, report_path: str | None) -> None:
    """Compare VAEs trained on handwritten digits, whose posteriors are part of the package.

    A VAE is compared with one that differs in the seed of its training alone, and with a beta-VAE.
    """
    from importlib.resources import as_file, files

    with one_line_errors():
        from kullback.comparison.compare import compare_rows
        from kullback.io.output import check_writable, write_text

        pages = {"reseeded": report_path, "beta": report_path and _beside(report_path, "beta")}
        if json_path:
            check_writable(json_path, (".json",))
        for path in filter(None, pages.values()):
            check_writable(path, (".html", ".htm"))
        written = []
        with as_file(files("kullback") / "data" / "digits") as folder:
            for other, page in pages.items():
                a, b = (str(folder / f"{name}.npz") for name in ("standard", other))
                ids, p, q, called = load_pair(a, b, scale=None, labels=None, by_order=False)
                with progress(f"comparing standard and {other}") as update:
                    comparison = compare_rows(ids, p, q, names=called, progress=update)
                for finding in comparison.findings():
                    click.echo(f"• {finding}")
                click.echo()
                if json_path and other == "reseeded":
                    write_text(json_path, comparison.to_json() + "\n")
                    written.append(json_path)
                if page:
                    comparison.report(page)
                    written.append(page)
        for path in written:
            click.echo(f"wrote {printable(path)}", err=True)


def _beside(path: str, suffix: str) -> str:
    """The path of a second page, with a suffix before its extension."""
    stem, extension = os.path.splitext(path)
    return f"{stem}-{suffix}{extension}"


def _print(comparison: "Comparison") -> None:
    """Print tables on a terminal, and lines of ``key: value`` elsewhere."""
    if not sys.stdout.isatty():
        click.echo(str(comparison))
        return
    from rich.console import Console

    from kullback.comparison.report.terminal import show

    show(comparison, Console())


COMMANDS = (compare, demo)
