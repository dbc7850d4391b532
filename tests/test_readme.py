"""Every snippet of the README runs and prints what the README says."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.filterwarnings("ignore:reduction")
def test_the_python_snippets_print_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # One namespace, as for a reader who types them in from top to bottom.
    source = "\n".join(blocks("python"))
    test = doctest.DocTestParser().get_doctest(source, {}, "README.md", "README.md", 0)
    assert len(test.examples) > 30
    output: list[str] = []
    failed = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append).failed
    assert not failed, "".join(output)


def test_the_demo_prints_what_the_readme_shows():
    from kullback.cli.app import commands

    result = CliRunner().invoke(commands, ["demo"])
    assert result.exit_code == 0, result.output
    shown = [line for line in blocks("console")[0].splitlines() if line.startswith(("finding", "warning"))]
    assert len(shown) >= 4
    printed = result.stdout.splitlines()
    for line in shown:
        assert line in printed


def test_the_commands_on_files_run_as_written(tmp_path, monkeypatch):
    from kullback.cli.app import commands

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("plain", "beta"):
        np.savez(f"{name}.npz", mu=rng.standard_normal((20, 3)), logvar=rng.standard_normal((20, 3)))
    lines = [line.removeprefix("$ kullback ") for line in blocks("console")[1].splitlines()]
    assert len(lines) == 2
    for line in lines:
        result = CliRunner().invoke(commands, line.split())
        assert result.exit_code == 0, result.output
    assert {p.name for p in tmp_path.iterdir()} == {"plain.npz", "beta.npz", "report.html", "numbers.json", "kl.csv"}


def test_the_accuracy_table_is_the_committed_result():
    rows = [line for line in (ROOT / "benchmarks/results/accuracy.md").read_text().splitlines() if line.startswith("|")]
    assert all(row in README for row in rows)


def between(mark: str) -> list[str]:
    return README.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0].strip().splitlines()


def test_the_table_of_divergences_is_that_of_the_records():
    from kullback.divergences.registry import RECORDS

    rows = [
        "| call | | symmetric | metric | unchanged by common | reference |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for record in RECORDS:
        call = f"{record.name}(p, q{''.join(', ' + parameter.name for parameter in record.required)})"
        yes = ["yes" if x else "" for x in (record.symmetric, record.metric)]
        maps = {"affine": "affine maps", "isometry": "rotations, shifts", "none": ""}[record.invariance]
        note = f"{record.title}, diagonal pairs (`fisher_rao_bounds`: all)" if record.diagonal_only else record.title
        rows.append(f"| `{call}` | {note}: ${record.tex}$ | {yes[0]} | {yes[1]} | {maps} | {record.reference} |")
    assert between("records") == rows


def test_the_table_of_every_pair_is_the_committed_result():
    rows = [x for x in (ROOT / "benchmarks/results/every_pair.md").read_text().splitlines() if x.startswith("|")]
    assert between("every pair") == rows


def test_the_tables_of_speed_are_the_committed_results():
    names = ("diagonal_speed", "full_speed", "pairwise_speed")
    results = "\n".join((ROOT / f"benchmarks/results/{name}.md").read_text() for name in names)
    assert [x for x in between("speed") if x] == [x for x in results.splitlines() if x.startswith("|")]


def test_the_tables_of_samples_are_the_committed_results():
    recipes, coverage = ((ROOT / f"benchmarks/results/{name}.md").read_text() for name in ("recipes", "coverage"))
    assert between("recipes") == [x for x in recipes.splitlines() if x.startswith("|")]
    tables = coverage.split("\n\n")
    (other, peers) = (
        next(x for x in tables if x.startswith(head)) for head in ("| data | rows | error", "| data | rows | kullback")
    )
    assert between("coverage") == other.strip().splitlines()
    assert between("peers") == peers.strip().splitlines()
    every = [x.split("|") for x in coverage.splitlines() if "| all |" in x]
    for size, held, band in ((x[1], x[3], x[4]) for x in every):
        assert f"{int(size):,} rows: {held.strip()}, {band.strip()}" in README.replace("\n", " ")
