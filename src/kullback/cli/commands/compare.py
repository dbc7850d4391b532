"""``kullback compare``, of one model, of two or of more."""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kullback.cli.errors import BadInput, one_line_errors
from kullback.cli.gate import Condition, failures_of
from kullback.cli.inputs import (
    EXIT_CODES,
    INPUT,
    OUTPUT,
    POSTERIOR_FILES,
    check_output,
    command_line,
    load_rows,
    noted,
    options_of,
    posterior_inputs,
    read_models,
)
from kullback.cli.progress import progress
from kullback.cli.running import Running, running_options, say, say_skipped
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.alignment.fits import Kind
    from kullback.comparison.compare_all import Comparisons
    from kullback.comparison.result import Result
    from kullback.io.reading import Reading
    from kullback.io.rows import ModelRows
    from kullback.jobs.checkpoint import Checkpoint


def _list_scalars(context: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001
    if value:
        from kullback.comparison.scalars import documented

        for name, text in documented().items():
            click.echo(f"{name}: {text}")
        context.exit()


@click.command(epilog=POSTERIOR_FILES + "\n\n" + EXIT_CODES)
@posterior_inputs
@running_options
@click.argument("more", nargs=-1, type=INPUT)
@click.option("--names", metavar="NAME,NAME,…", help="The names of the models in the output.")
@click.option(
    "--align",
    "alignments",
    metavar="KIND,…",
    default="permutation,rotation",
    show_default=True,
    help="Alignments to fit: permutation, rotation, rotation+shift, affine; or none.",
)
@click.option(
    "--aggregate/--no-aggregate",
    default=None,
    help="Estimate the aggregated posteriors, too, which takes some seconds; by default of one model or two.",
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
@click.option("--json", "json_path", type=OUTPUT, metavar="FILE", help="Write all numbers as JSON; - prints only them.")
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
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="K",
    default=10,
    show_default=True,
    help="How many of the inputs that differ most to list.",
)
@click.option("--report", "report_path", type=OUTPUT, metavar="FILE.html", help="Write one offline HTML page.")
def compare(
    *,
    a: str,
    b: str | None,
    more: tuple[str, ...],
    reading: "Reading",
    running: Running,
    names: str | None,
    alignments: str,
    aggregate: bool | None,
    conditions: tuple[str, ...],
    json_path: str | None,
    active_variance: float,
    collapsed_nats: float,
    partner_share: float,
    brief: bool,
    top: int,
    report_path: str | None,
) -> None:
    """Compare the posteriors of two models, or more, over the same inputs; or describe those of one.

    A, B, … are files; a single file may hold two models, or one, which is compared with the prior N(0, I). Of three
    files or more, each pair is compared, and the report has a matrix, a dendrogram and a part for each pair.
    """
    with one_line_errors():
        from kullback.comparison.scalars import documented
        from kullback.comparison.statistics import Thresholds
        from kullback.io.output import check_writable, write_text

        options = {
            "thresholds": Thresholds(active_variance, collapsed_nats, partner_share),
            "align": _kinds(alignments),
            "aggregate": not more if aggregate is None else aggregate,
            "top": top,
        }
        gates = [Condition.parse(text, documented()) for text in conditions]
        to_stdout = json_path == "-"
        outputs: list[tuple[str, tuple[str, ...]]] = []
        outputs += [(json_path, (".json",))] if json_path and not to_stdout else []
        outputs += [(report_path, (".html", ".htm"))] if report_path else []
        for path, suffixes in outputs:
            check_writable(path, suffixes)
            check_output(path, (a, b, *more))
        written = [path for path, _ in outputs]
        running.check_output(next(iter(written), None), "--json FILE or --report FILE")
        result: Result | Comparisons
        with contextlib.ExitStack() as unfinished:
            if more:
                result = _several((a, str(b), *more), names, reading, running, options)
            else:
                result = _one_or_two(a, b, names, reading, running, options, written, unfinished)
            if json_path and not to_stdout:
                write_text(json_path, result.to_json() + "\n")
            if report_path:
                result.report(report_path, command=command_line())
        if to_stdout:
            click.echo(result.to_json())
        elif brief:
            for finding in result.findings():
                click.echo(finding)
        else:
            _print(result)
        for path in written:
            click.echo(f"wrote {printable(path)}", err=True)
        failures = failures_of(gates, result)
    if failures:
        click.echo(f"failed: {'; '.join(failures)}", err=True)
        raise click.exceptions.Exit(1)


def _one_or_two(
    a: str,
    b: str | None,
    names: str | None,
    reading: "Reading",
    running: Running,
    options: dict[str, Any],
    outputs: Sequence[str],
    unfinished: contextlib.ExitStack,
) -> "Result":
    """The comparison, or the description of one model; what is found on the way is kept until ``unfinished`` ends."""
    from kullback.comparison.compare import compare_rows, describe_rows

    # Processes start while the rows are opened and joined.
    with running.start() as engine:
        rows, called = load_rows(a, b, reading, skip=running.skips)
        many = len(rows.models)
        if names:
            called = _names(names, many)
        if many == 1:
            del options["align"]
        if outputs:
            paths = [path for path in (a, b) if path]
            what = {"--align": ",".join(options.get("align", ())) or "none", "--top": options["top"]}
            what |= options_of(paths, reading, running)
            state = _checkpoint(rows, paths, what, outputs[0], resume=running.resume)
            options["state"] = unfinished.enter_context(state)
        with progress("comparing" if many > 1 else "describing", unit="rows") as update:
            options |= {"names": called, "engine": engine, "progress": update}
            result = compare_rows(rows, **options) if many == 2 else describe_rows(rows, **options)
    say_skipped(result.summary.skipped)
    return result


def _checkpoint(
    rows: "ModelRows", paths: Sequence[str], what: dict[str, Any], output: str, *, resume: bool
) -> "contextlib.AbstractContextManager[Checkpoint]":
    """Where the progress of the passes over rows is kept, beside an output. ``what`` determines their results."""
    from kullback.comparison.leftover import Leftovers
    from kullback.comparison.passes import tasks_of
    from kullback.comparison.summary import Summary
    from kullback.jobs.checkpoint import checkpoint
    from kullback.jobs.plan import Plan
    from kullback.jobs.stamps import fingerprint

    plan = Plan(fingerprint(paths), what, [[task.start, task.stop] for task in tasks_of(rows)])
    read = {"summary": Summary.from_json, "leftovers": Leftovers.from_json}
    return checkpoint(Path(output), output, plan, read, resume=resume, say=say)


def _names(text: str, models: int) -> list[str]:
    """The names of so many models."""
    called = [printable(name.strip()) for name in text.split(",")]
    if not (len(called) == len(set(called)) == models and all(called)):
        raise BadInput(f"--names takes {f'{models} different names' if models > 1 else 'one name'}, got {text!r}.")
    return called


def _several(
    paths: Sequence[str], names: str | None, reading: "Reading", running: Running, options: dict[str, Any]
) -> "Comparisons":
    from kullback.comparison.compare_all import compare_all_rows
    from kullback.io.posteriors import distinct_names

    if running.resume:
        raise BadInput("--resume continues the comparison of two models, or the description of one; leave it out.")
    if reading.labels:
        raise BadInput("--models chooses two models; of three files or more, each must hold one.")
    models = read_models(paths, reading)
    called = distinct_names([printable(model.name) for model in models], paths)
    if names:
        called = _names(names, len(models))
    with running.start() as engine, progress(f"comparing {len(models)} models") as update:
        result = noted(
            lambda: compare_all_rows(models, called, skip=running.skips, engine=engine, progress=update, **options)
        )
    for pair in result.pairs.values():
        say_skipped(pair.summary.skipped)
    return result


def _kinds(text: str) -> "tuple[Kind, ...]":
    """The kinds of alignment that an option names."""
    from kullback.alignment.fits import KINDS

    names = [] if text.strip() == "none" else [part.strip() for part in text.split(",")]
    unknown = [name for name in names if name not in KINDS]
    if unknown:
        raise BadInput(f"--align: {unknown[0]!r} is no kind of alignment. Give some of {', '.join(KINDS)}, or none.")
    return tuple(kind for kind in KINDS if kind in names)


def _print(result: "Result | Comparisons") -> None:
    """Print tables on a terminal, and lines of ``key: value`` elsewhere."""
    if not sys.stdout.isatty():
        click.echo(str(result))
        return
    from rich.console import Console

    from kullback.comparison.report import terminal
    from kullback.comparison.result import Result

    if isinstance(result, Result):
        terminal.show(result, Console())
    else:
        terminal.show_several(result, Console())


COMMANDS = (compare,)
