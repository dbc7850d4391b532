"""The README and the documentation: snippets print what is shown, commands run, tables are committed results."""

import doctest
import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from click.testing import CliRunner

import kullback
from kullback import Gaussian, approximations, comparison, kernels, losses, metrics
from kullback.divergences.registry import RECORDS

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RESULTS = ROOT / "benchmarks" / "results"
README = (ROOT / "README.md").read_text(encoding="utf-8")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# The pages with snippets, and how many examples each has at least.
PAGES = {
    "README.md": 20,
    "docs/index.md": 5,
    "docs/start.md": 8,
    "docs/guide.md": 40,
    "docs/training.md": 25,
    "docs/forum.md": 30,
    "docs/samples.md": 6,
    "docs/formats.md": 1,
}


def docs_tables():
    spec = importlib.util.spec_from_file_location("docs_tables", DOCS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    """The text of the README from one heading to the next."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 200


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize("page", PAGES)
def test_the_snippets_print_what_is_shown(page, tmp_path, monkeypatch):
    text = (ROOT / page).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # One namespace, as for a reader who types them in from top to bottom.
    with torch.random.fork_rng(devices=[]):
        test = doctest.DocTestParser().get_doctest("\n".join(blocks(text, "python")), {}, page, page, 0)
        assert len(test.examples) >= PAGES[page]
        output: list[str] = []
        failed = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=output.append).failed
    assert not failed, "".join(output)


def test_every_page_with_snippets_is_tested():
    pages = {path.relative_to(ROOT).as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert len(pages) > 10
    assert {page for page in pages if ">>>" in (ROOT / page).read_text(encoding="utf-8")} == set(PAGES) - {"README.md"}


def test_the_demo_prints_what_the_readme_shows():
    from kullback.cli.app import commands

    result = CliRunner().invoke(commands, ["demo"])
    assert result.exit_code == 0, result.output
    printed = [line.removeprefix("• ") for line in result.stdout.splitlines() if line.startswith("•")]
    shown = [line.removeprefix("• ") for line in blocks(README, "console")[0].splitlines() if line.startswith("•")]
    assert len(shown) >= 4
    for line in shown:
        # Where the README leaves something out it says so by three dots.
        pattern = re.escape(line).replace(re.escape("..."), ".*")
        assert any(re.fullmatch(pattern, finding) for finding in printed), line


@pytest.mark.parametrize("page", ["README.md", "docs/guide.md", "docs/scale.md"])
def test_the_commands_on_files_run_as_written(page, tmp_path, monkeypatch):
    from kullback.cli.app import commands

    consoles = blocks((ROOT / page).read_text(encoding="utf-8"), "console")
    lines = [x.removeprefix("$ kullback ") for x in "".join(consoles).splitlines() if x.startswith("$ kullback ")]
    assert len(lines) >= 2
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("plain", "beta"):
        np.savez(f"{name}.npz", mu=rng.standard_normal((20, 3)), logvar=rng.standard_normal((20, 3)))
    mean, std = rng.standard_normal((20, 3)), rng.uniform(0.5, 2.0, (20, 3))
    np.savez("encoded.npz", z_loc=mean, z_ls=np.log(std))
    np.savez("both.npz", loc_a=mean, scale_a=std, loc_b=mean + 1.0, scale_b=std)
    for label in "ab":
        Path(f"folder-of-{label}").mkdir()
        for stem in (f"{label}_", f"folder-of-{label}/"):
            np.save(f"{stem}mu.npy", mean)
            np.save(f"{stem}logvar.npy", np.log(std))
    folders = [Path(f"run_{label}") for label in "ab"]
    for folder in folders:
        folder.mkdir()
        for part in range(2):
            mu, logvar = rng.standard_normal((2, 10, 3))
            table = pa.table({"id": np.arange(10) + 10 * part, "mu": list(mu), "logvar": list(logvar)})
            pyarrow.parquet.write_table(table, folder / f"part-{part}.parquet")
        shutil.copytree(folder, Path("bucket") / folder)
    for name in "ab":
        Path(f"{name}.parquet").write_bytes(Path(f"run_{name}/part-0.parquet").read_bytes())
    for name in ("plain", "beta"):
        named = pyarrow.parquet.read_table("a.parquet").drop("id").append_column("filename", [list("abcdefghij")])
        pyarrow.parquet.write_table(named, f"{name}.parquet")
    inputs = {p.name for p in tmp_path.iterdir()}
    for line in lines:
        # A folder stands for a bucket of a network, which the processes of Dask see, too.
        result = CliRunner().invoke(commands, shlex.split(line.replace("s3://", f"file://{tmp_path}/")))
        assert result.exit_code == 0, result.output
    written = {p.name for p in tmp_path.iterdir()} - inputs
    assert written == {word.rstrip("/") for line in lines for word in shlex.split(line) if word in OUTPUTS}


OUTPUTS = {"report.html", "numbers.json", "kl.csv", "kl.parquet", "kl/", "kl.zarr", "nearest.parquet"}


@pytest.mark.parametrize(
    ("title", "results", "rows"),
    [("How accurate?", ["accuracy"], 8)],
)
def test_the_rows_of_the_readme_are_committed_results(title, results, rows):
    tables = docs_tables().tables
    texts = [(RESULTS / f"{name}.md").read_text(encoding="utf-8") for name in results]
    committed = {tuple(table[:2]): table[2:] for text in texts for table in tables(text)}
    shown = tables(section(title))
    assert sum(len(table) - 2 for table in shown) >= rows
    for head, *table in ((tuple(table[:2]), *table[2:]) for table in shown):
        assert head in committed
        assert table
        # In the order of the result.
        assert table == [row for row in committed[head] if row in table]


def test_the_speed_of_the_readme_is_that_of_the_results_and_names_the_machine():
    made = docs_tables()
    assert docs_tables().tables(section("How fast?")) == [made.speed_table()]
    machines = set()
    for name in ("diagonal_speed", "full_speed"):
        for suffix, instructions in (("", "avx512"), ("-avx2", "avx2")):
            machine = (RESULTS / f"{name}{suffix}.md").read_text(encoding="utf-8").splitlines()[0].strip()
            assert f", {instructions}, " in machine
            machines.add(machine.replace(f", {instructions}, ", ", "))
    assert len(machines) == 1
    assert machines.pop() in section("How fast?").replace("\n", " ")


def test_the_readme_asks_for_the_python_of_the_package():
    required = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f"Python {required} or later" in README


def test_links_to_files_and_headings_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if not link.startswith("http")
    ]
    assert len(links) > 30
    for page, link in links:
        path, _, heading = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), (page.name, link)
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, (page.name, link)


def test_every_result_is_on_a_page_of_the_documentation():
    text = "".join(p.read_text(encoding="utf-8") for p in DOCS.glob("*.md"))
    included = set(re.findall(r"\{include\} _build/generated/(\S+)", text))
    made = docs_tables().pages()
    assert included <= set(made)
    names = [path.stem for path in RESULTS.iterdir()]
    assert len(names) > 10
    for name in names:
        parts = {page for page in made if re.fullmatch(rf"{name}-\d+\.md", page)} or {f"{name}.md"}
        assert parts <= included, name


def test_the_table_of_divergences_is_made_of_the_records():
    made = docs_tables().pages()
    table = made["divergences.md"].splitlines()[2:]
    assert len(table) == len(RECORDS) > 5
    for record, row in zip(RECORDS, table, strict=True):
        assert f"`{record.name}(" in row
        assert record.title in row
        assert record.reference in row
        assert f".. autofunction:: kullback.{record.name}\n" in made["divergences-reference.md"]


def reference_text() -> str:
    pages = [path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")]
    return "\n".join([*pages, docs_tables().pages()["divergences-reference.md"]])


def test_the_reference_has_every_public_name():
    directive = r"^\.\. (?:auto\w+:: kullback\.|py:function:: )([\w.]+)"
    documented = set(re.findall(directive, reference_text(), flags=re.MULTILINE))
    expected = set(kullback.__all__)
    for module in (losses, kernels, approximations, comparison, metrics):
        expected |= {f"{module.__name__.removeprefix('kullback.')}.{name}" for name in module.__all__}
    assert len(expected) > 50
    assert documented == expected | {"approximations"}


def test_the_reference_has_what_a_user_asks_of_a_gaussian():
    directive = r"autoclass:: kullback\.Gaussian\n   :members: (.*?)\n```"
    members = re.search(directive, reference_text(), flags=re.DOTALL)[1]
    listed = {name.strip() for name in members.split(",")}
    assert all(hasattr(Gaussian, name) or name in ("mean", "scale") for name in listed)
    constructors = {name for name in vars(Gaussian) if name.startswith("from_")}
    assert len(constructors) > 5
    assert listed >= constructors | {"variance", "stddev", "covariance_matrix", "precision_matrix"}
    assert listed >= {"marginal", "affine", "expand", "sample", "log_prob", "entropy"}
