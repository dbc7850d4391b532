"""The command line. Heavy imports happen inside commands, so that ``--help`` answers at once.

Exit codes: 0 done; 2 bad input (said in one line) or usage; 1 a defect of kullback; 130 interrupted.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

import kullback
from kullback.columns import SCALES
from kullback.divergences import NAMES
from kullback.errors import PosteriorFileError, ShapeError
from kullback.progress import progress

if TYPE_CHECKING:
    from kullback.gaussian import Gaussian
    from kullback.latents.compare import Comparison

_EPILOG = "Exit codes: 0 done; 2 bad input or usage; 1 a defect of kullback; 130 interrupted."

_FILES = """\b
Files: .npz, .safetensors, .pt (weights only; nothing is ever unpickled), .parquet.
Columns, one row for each input, found by name:
  mean      mu, mean, loc
  scale     std, stddev, scale | var, variance | logvar, log_var
            ("sigma" may be any of them: say --scale)
  identity  id (optional; both files are joined on it)
A label tells models in one file apart: mu_1, logvar_1, mu_2, logvar_2."""


_SAMPLES = """\b
Files: .npy, .npz, .safetensors, .pt (weights only; nothing is ever unpickled): one array (n, d), or --columns.
       .csv (with or without a header), .parquet: the columns are the coordinates; id is left out."""

_ROWS_OF_FILES = "A and B are files; a single file may hold both models."

# What a divergence is told besides the two Gaussians: its default, and what it is.
_FURTHER: dict[str, dict[str, tuple[float | None, str]]] = {
    "renyi": {"alpha": (None, "The order, from 0 up.")},
    "geometric_jensen_shannon": {"weight": (0.5, "The weight of B, between 0 and 1.")},
}


class _BadInput(click.ClickException):
    exit_code = 2


class _NobodyReads(Exception):
    """The pipe that we write to is closed. Not an OSError, of which click makes exit code 1 before we see it."""


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Bad input ends with one line and exit code 2; anything else is a defect and keeps its traceback."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError as error:  # an OSError, but nobody's bad input
        raise _NobodyReads from error
    except (PosteriorFileError, ShapeError, OSError) as error:
        from kullback.text import printable

        raise _BadInput(printable(str(error))) from error


def _load(
    a: str, b: str | None, *, scale: Any, labels: str | None, by_order: bool, outputs: tuple[str | None, ...] = ()
) -> "tuple[list[Any], Gaussian, Gaussian, tuple[str, str]]":
    """The two models that the arguments speak of: ids, Gaussians and names."""
    from kullback.io.posteriors import read_pair
    from kullback.text import printable

    for output in outputs:
        if output and any(os.path.exists(output) and os.path.samefile(output, path) for path in (a, b) if path):
            raise _BadInput(f"{printable(output)}: is an input; writing to it would lose it.")
    chosen = _two(labels, "--models takes two labels") if labels else None
    if chosen and b is None and chosen[0] == chosen[1]:
        raise _BadInput(f"--models: both are {printable(chosen[0])!r}. Two models of one file have two labels.")
    ids, p, q = read_pair(a, b, scale=scale, labels=chosen, by_order=by_order)
    if (p.ids is None) != (q.ids is None):
        lacking = q.source if q.ids is None else p.source
        click.echo(f"note: {lacking} has no ids, so rows are joined by order", err=True)
    names = (printable(p.name), printable(q.name))
    if names[0] == names[1]:
        folders = [printable(os.path.basename(os.path.dirname(os.path.abspath(path)))) for path in (a, b or a)]
        names = ("A", "B") if folders[0] == folders[1] else (f"{folders[0]}/{names[0]}", f"{folders[1]}/{names[1]}")
    return ids, p.gaussian, q.gaussian, names


def _two(text: str, what: str) -> tuple[str, str]:
    first, _, second = (part.strip() for part in text.partition(","))
    if not first or not second:
        raise _BadInput(f"{what}, got {text!r}. Example: plain,beta.")
    return first, second


def _inputs(command: Any) -> Any:
    """The arguments and options that say which posteriors to read."""
    for decorate in (
        click.option("--by-order", is_flag=True, help="Join rows by order even if there are ids."),
        click.option("--models", "labels", metavar="LABEL,LABEL", help="Which models to take from files with several."),
        click.option("--scale", type=click.Choice(SCALES), help="What sigma holds, or which scale to take of several."),
        click.argument("b", type=click.Path(), required=False),
        click.argument("a", type=click.Path()),
    ):
        command = decorate(command)
    return command


def main() -> None:
    """The entry point: runs a command and ends with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # An encoding that lacks ‖ or σ is no reason to fail.
            stream.reconfigure(errors="backslashreplace")
    try:
        code = commands.main(prog_name="kullback", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except _NobodyReads:
        # Whoever read our output has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(kullback.__version__, prog_name="kullback")
def commands() -> None:
    """How far apart are Gaussians? Exact divergences between the posteriors of two VAEs."""


@commands.command(epilog=_FILES + "\n\n" + _EPILOG)
@_inputs
@click.option("--names", metavar="NAME,NAME", help="What to call the two models.")
@click.option("--json", "json_path", type=click.Path(), metavar="FILE", help="Write every number as JSON.")
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
    with _one_line_errors():
        from kullback.io.output import check_writable, write_text
        from kullback.latents.compare import compare_rows
        from kullback.text import printable

        if json_path:
            check_writable(json_path, (".json",))
        if report_path:
            check_writable(report_path, (".html", ".htm"))
        outputs = (json_path, report_path)
        ids, p, q, found = _load(a, b, scale=scale, labels=labels, by_order=by_order, outputs=outputs)
        if names:
            found = _two(names, "--names takes two names")
            if found[0] == found[1]:
                raise _BadInput(f"--names: both are {found[0]!r}.")
        with progress("comparing") as update:
            comparison = compare_rows(ids, p, q, names=found, progress=update)
        _print(comparison)
        if json_path:
            write_text(json_path, comparison.to_json() + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)
        if report_path:
            comparison.report(report_path)
            click.echo(f"wrote {printable(report_path)}", err=True)


def _rows(name: str) -> None:
    """Add the command that computes one divergence of each row."""

    @_inputs
    @click.option(
        "-o", "--output", type=click.Path(), metavar="OUT",
        help="Where to: .npz, .parquet or .csv. Without: CSV on stdout.",
    )  # fmt: skip
    def command(*, a: str, b: str | None, output: str | None, **options: Any) -> None:
        with _one_line_errors():
            from kullback.divergences.registry import divergences
            from kullback.io.output import ROW_KINDS, check_writable, write_csv, write_rows
            from kullback.text import printable

            further = {option: options.pop(option) for option in _FURTHER.get(name, {})}
            if output:
                check_writable(output, ROW_KINDS)
            ids, p, q, _ = _load(a, b, **options, outputs=(output,))
            try:
                values = divergences()[name].function(p, q, **further)
            except ValueError as error:
                raise _BadInput(str(error)) from error
            if output:
                write_rows(output, ids, values, name)
                mean = values.double().mean().item()
                click.echo(f"wrote {len(ids):,} rows to {printable(output)} (mean {mean:.6g})", err=True)
            else:
                if sys.stdout.isatty():
                    ids = [printable(i) for i in ids]
                write_csv(sys.stdout, ids, values, name)

    for option, (default, what) in _FURTHER.get(name, {}).items():
        given = {"required": True} if default is None else {"default": default, "show_default": True}
        command = click.option(f"--{option}", type=float, help=what, **given)(command)
    called = "KL(A‖B)" if name == "kl" else f"The divergence {name}"
    summary = f"{called} of each row, exactly.\n\nThe result has the columns id and {name}. {_ROWS_OF_FILES}"
    commands.command(name, help=summary, epilog=_FILES + "\n\n" + _EPILOG)(command)


for _name in NAMES:
    _rows(_name)


@commands.command(name="explain", epilog=_FILES + "\n\n" + _EPILOG)
@_inputs
@click.option("--value", type=str, help="A number that somebody else got: which common mistake gives it?")
def explain_(
    *, a: str, b: str | None, scale: str | None, labels: str | None, by_order: bool, value: str | None
) -> None:
    """How KL(A‖B) is computed, how well it is determined, and what is wrong with a number.

    The number may be of one row, or the mean or sum over rows. It is compared as closely as it is written.
    """
    with _one_line_errors():
        from kullback.explanation import explain

        try:
            number = None if value is None else float(value)
        except ValueError:
            raise _BadInput(f"--value is a number, got {value!r}.") from None
        _, p, q, _ = _load(a, b, scale=scale, labels=labels, by_order=by_order)
        click.echo(str(explain(p, q, number)))


@commands.command(epilog=_SAMPLES + "\n\n" + _EPILOG)
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
    with _one_line_errors():
        from kullback.estimate.kl import kl_estimate
        from kullback.io.output import check_writable, write_text
        from kullback.io.samples import read_samples
        from kullback.report.estimate import lines, to_json
        from kullback.text import printable

        if json_path not in (None, "-"):
            check_writable(json_path, (".json",))
            if any(os.path.exists(json_path) and os.path.samefile(json_path, path) for path in (x, y)):
                raise _BadInput(f"{printable(json_path)}: is an input; writing to it would lose it.")
        first, _, second = (name.strip() for name in (columns or "").partition(","))
        samples = [read_samples(path, name or None) for path, name in ((x, first), (y, second or first))]
        try:
            found = kl_estimate(*samples, method=method, seed=seed)
        except ValueError as error:
            raise _BadInput(str(error)) from error
        rows = [len(side) for side in samples]
        if json_path == "-":
            click.echo(to_json(found, rows))
            return
        for line in lines(found, rows):
            click.echo(line)
        if json_path:
            write_text(json_path, to_json(found, rows) + "\n")
            click.echo(f"wrote {printable(json_path)}", err=True)


@commands.command(epilog=_EPILOG)
@click.option("--json", "json_path", type=click.Path(), metavar="FILE", help="Write every number as JSON.")
@click.option("--report", "report_path", type=click.Path(), metavar="FILE.html", help="Write one offline HTML page.")
@click.pass_context
def demo(context: click.Context, json_path: str | None, report_path: str | None) -> None:
    """Compare two VAEs trained on handwritten digits, whose posteriors come with kullback."""
    from importlib.resources import as_file, files

    with as_file(files("kullback") / "data" / "digits") as folder:
        paths = {name: str(folder / f"{name}.npz") for name in ("standard", "beta")}
        context.invoke(
            compare, a=paths["standard"], b=paths["beta"], scale=None, labels=None, by_order=False, names=None,
            json_path=json_path, report_path=report_path,
        )  # fmt: skip


@commands.command(epilog=_EPILOG)
def info() -> None:
    """What is installed, and which kernels run."""
    import platform

    import torch

    from kullback.kernels import choice, library

    usable = choice.usable(os.environ.get("KULLBACK_KERNEL"))
    names = ", ".join(body.name for body in usable.bodies)
    reason = f" ({usable.reason})" if usable.reason else ""
    click.echo(f"kullback: {kullback.__version__}")
    click.echo(f"torch: {torch.__version__}, {torch.get_num_threads()} threads")
    click.echo(f"python: {platform.python_version()}, {platform.system()} {platform.machine()}")
    click.echo(f"kernels: {names}{reason}; instructions: {library.instructions()}")


def _print(comparison: "Comparison") -> None:
    """Tables for a person at a terminal, plain lines for anything else."""
    if not sys.stdout.isatty():
        click.echo(str(comparison))
        return
    from rich.console import Console

    from kullback.report.terminal import show

    show(comparison, Console())
