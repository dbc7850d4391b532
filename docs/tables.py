"""Writes the parts of the documentation that are made from data, so that they cannot differ from it.

From ``benchmarks/results/``: ``NAME.md``, the whole of a result; ``NAME-machine.md``, its first line; ``NAME-1.md``,
``NAME-2.md``, …, its tables one by one. From the registry of divergences: ``divergences.md``, the table of them, and
``divergences-reference.md``, their reference. ``scalars.md``: the numbers of a comparison by name. ``speed.md``: a
summary of speed. ``conf.py`` calls ``write`` at each build; pages include the files.

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


# What the summary of speed shows: a result, the first cell of the head of its table, that of a row, the head of a
# column, and what to call it.
_SPEED = (
    ("diagonal_speed", "forward", "[1024, 256]", "torch.distributions / native", "diagonal [1024, 256], forward"),
    ("diagonal_speed", "forward", "[65536, 256]", "torch.distributions / native", "diagonal [65536, 256], forward"),
    ("diagonal_speed", "forward", "[524288, 2]", "torch.distributions / native", "diagonal [524288, 2], forward"),
    ("diagonal_speed", "forward and backward", "[128, 32]", "torch.distributions / native",
     "diagonal [128, 32], with gradients"),
    ("diagonal_speed", "forward and backward", "[4096, 256]", "torch.distributions / native",
     "diagonal [4096, 256], with gradients"),
    ("diagonal_speed", "forward and backward", "[65536, 256]", "… / fused mean",
     "diagonal [65536, 256], `kl_loss` with gradients"),
    ("diagonal_speed", "given differently, mean, gradients", "logvar against std [4096, 256]",
     "torch.distributions / native", "log-variances against std [4096, 256], with gradients"),
    ("full_speed", "coordinates, pairs", "3, 65536", "forward", "covariances 3 × 3, forward"),
    ("full_speed", "coordinates, pairs", "16, 4096", "forward", "covariances 16 × 16, forward"),
    ("full_speed", "coordinates, pairs", "16, 4096", "forward and backward", "covariances 16 × 16, with gradients"),
    ("full_speed", "coordinates, pairs", "64, 256", "forward", "covariances 64 × 64, forward"),
    ("full_speed", "coordinates, pairs", "512, 2", "forward", "covariances 512 × 512, forward"),
)  # fmt: skip


def speed_table() -> list[str]:
    """The speed of the C library by two instruction sets, from the results of both."""
    found = ["| against torch.distributions, one thread | AVX2 | AVX-512 |", "| --- | --: | --: |"]
    for result, *place, title in _SPEED:
        cells = (cell(RESULTS / f"{result}{suffix}.md", *place) for suffix in ("-avx2", ""))
        found.append(f"| {title} | {' | '.join(cells)} |")
    return found


def cell(path: Path, table: str, row: str, column: str) -> str:
    """The cell of a result, by the first cell of the head of its table, that of its row, and the head of its column."""
    for lines in tables(path.read_text(encoding="utf-8")):
        head, _, *rows = ([text.strip() for text in line.strip("| ").split(" | ")] for line in lines)
        if head[0] == table:
            return next(texts for texts in rows if texts[0] == row)[head.index(column)]
    raise LookupError(f"{path.name} has no table that begins with {table!r}")


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
        "speed.md": "\n".join(speed_table()),
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
