"""``kullback demo``, which compares models that are part of the package."""

import os

import click

from kullback.cli.errors import one_line_errors
from kullback.cli.inputs import EXIT_CODES, OUTPUT, command_line, load_rows
from kullback.cli.progress import progress
from kullback.io.text import printable


@click.command(epilog=EXIT_CODES)
@click.option(
    "--json", "json_path", type=OUTPUT, metavar="FILE", help="Write all numbers of the first comparison as JSON."
)
@click.option(
    "--report", "report_path", type=OUTPUT, metavar="FILE.html",
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
        from kullback.io.reading import Reading

        pages = {"reseeded": report_path, "beta": report_path and _beside(report_path, "beta")}
        if json_path:
            check_writable(json_path, (".json",))
        for path in filter(None, pages.values()):
            check_writable(path, (".html", ".htm"))
        written = []
        with as_file(files("kullback") / "data" / "digits") as folder:
            for other, page in pages.items():
                a, b = (str(folder / f"{name}.npz") for name in ("standard", other))
                rows, called = load_rows(a, b, Reading())
                with progress(f"comparing standard and {other}") as update:
                    comparison = compare_rows(rows, names=called, progress=update)
                for finding in comparison.findings():
                    click.echo(f"• {finding}")
                click.echo()
                if json_path and other == "reseeded":
                    write_text(json_path, comparison.to_json() + "\n")
                    written.append(json_path)
                if page:
                    comparison.report(page, command=command_line())
                    written.append(page)
        for path in written:
            click.echo(f"wrote {printable(path)}", err=True)


def _beside(path: str, suffix: str) -> str:
    """The path of a second page, with a suffix before its extension."""
    stem, extension = os.path.splitext(path)
    return f"{stem}-{suffix}{extension}"


COMMANDS = (demo,)
