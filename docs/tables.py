"""Writes the parts of the documentation that are made from data, so that they cannot differ from it.

From ``benchmarks/results/``: ``NAME.md``, the whole of a result; ``NAME-machine.md``, its first line; ``NAME-1.md``,
``NAME-2.md``, …, its tables one by one. From the registry of divergences: ``divergences.md``, the table of them, and
``divergences-reference.md``, their reference. ``scalars.md``: the numbers of a comparison by name. ``conf.py`` calls
``write`` at each build; pages include the files.

    python docs/tables.py
"""

from pathlib import Path

from kullback.comparison.scalars import documented
from kullback.divergences.record import Record
from kullback.divergences.registry import RECORDS

DOCS = Path(__file__).resolve().parent
RESULTS = DOCS.parent / "benchmarks" / "results"
GENERATED = DOCS / "_build" / "generated"

_INVARIANCE = {"affine": "affine maps", "isometry": "rotations, translations", "none": ""}


def tables(result: str) -> list[list[str]]:
    """The Markdown tables of a text: the lines of each, of which the first two are its head."""
    found: list[list[str]] = [[]]
    for line in result.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def divergence_row(record: Record) -> str:
    """The row of one divergence in the table of all."""
    arguments = ", ".join(["p, q", *(parameter.name for parameter in record.required)])
    call = f"{{py:func}}`{record.name}({arguments}) <kullback.{record.name}>`"
    title = record.title + (", of diagonal Gaussians" if record.diagonal_only else "")
    formula = record.tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
    yes = ["yes" if holds else "" for holds in (record.symmetric, record.metric)]
    cells = [call, f"{title}: ${formula}$", *yes, _INVARIANCE[record.invariance], record.reference]
    return f"| {' | '.join(cells)} |"


def divergence_table() -> list[str]:
    """The table of all divergences."""
    head = [
        "| call | divergence | symmetric | metric | invariant under | reference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return head + [divergence_row(record) for record in RECORDS]


def divergence_reference() -> list[str]:
    """The directives that document all divergences."""
    return ["```{eval-rst}", *(f".. autofunction:: kullback.{record.name}" for record in RECORDS), "```"]


def scalar_table() -> list[str]:
    """The table of the numbers of a comparison."""
    return [
        "| name | what it is |",
        "| --- | --- |",
        *(f"| `{name}` | {text} |" for name, text in documented().items()),
    ]


def pages() -> dict[str, str]:
    """The contents of the generated files by name."""
    found = {
        "divergences.md": "\n".join(divergence_table()),
        "divergences-reference.md": "\n".join(divergence_reference()),
        "scalars.md": "\n".join(scalar_table()),
    }
    for path in sorted(RESULTS.iterdir()):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            found[f"{path.stem}.md"] = text
            found[f"{path.stem}-machine.md"] = f"*{text.splitlines()[0].strip()}*"
            for i, table in enumerate(tables(text), 1):
                found[f"{path.stem}-{i}.md"] = "\n".join(table)
        else:
            found[f"{path.stem}.md"] = f"```text\n{text.rstrip()}\n```"
    return found


def write() -> None:
    """Write the generated files; one that has not changed keeps its time, so that Sphinx need not read it again."""
    GENERATED.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text + "\n":
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
