"""Conditions on numbers: what they say, and that nothing passes that should not."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kullback import Gaussian, compare
from kullback.cli.app import commands
from kullback.cli.errors import BadInput
from kullback.cli.gate import Condition
from kullback.comparison.scalars import documented

NAMES = {"kl_ab.mean": "", "kl_ab.aligned.mean": "", "rows": ""}


@pytest.mark.parametrize(
    ("text", "value", "fails"),
    [
        ("kl_ab.mean > 2", 2.5, True), ("kl_ab.mean > 2", 2.0, False), ("kl_ab.mean>=2", 2.0, True),
        ("kl_ab.mean < 1e-3", 1e-4, True), ("kl_ab.mean <= -.5", 0.0, False), (" kl_ab.mean != 0.0 ", 0.0, False),
        ("kl_ab.mean == +3", 3.0, True), ("kl_ab.mean > 2", math.inf, True), ("kl_ab.mean > 2", math.nan, True),
        ("kl_ab.mean < 2", math.nan, True),
    ],
)  # fmt: skip
def test_a_condition_fails_where_it_holds_and_for_nan(text, value, fails):
    failure = Condition.parse(text, NAMES).failure({"kl_ab.mean": value})
    assert (failure is not None) == fails
    assert failure is None or ("kl_ab.mean is" in failure and "\n" not in failure)


@pytest.mark.parametrize(
    "text",
    ["", "kl_ab.mean", "kl_ab.mean > ", "kl_ab.mean > two", "2 < kl_ab.mean", "kl_ab.mean > 2 or 1", "kl_ab.mean > nan",
     "__import__('os').system('true') > 0", "kl_ab.mean => 2", "kl_ab.mean > 0x10"],
)  # fmt: skip
def test_anything_else_is_no_condition(text):
    with pytest.raises(BadInput, match="expected a name"):
        Condition.parse(text, NAMES)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(BadInput, match=r"no number 'kl_ab.aligned.means'. Did you mean kl_ab.aligned.mean"):
        Condition.parse("kl_ab.aligned.means > 2", NAMES)
    with pytest.raises(BadInput, match="--list-scalars"):
        Condition.parse("zzz > 2", NAMES)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    mu = rng.standard_normal((50, 3))
    np.savez("a.npz", mu=mu, std=np.full((50, 3), 0.5))
    np.savez("b.npz", mu=mu[:, ::-1] + 0.1, std=np.full((50, 3), 0.4))


def run(*arguments):
    return CliRunner().invoke(commands, ["compare", "a.npz", "b.npz", *arguments])


@pytest.mark.usefixtures("files")
def test_the_command_fails_with_one_line_and_still_writes():
    assert run("--fail-if", "kl_ab.mean < 0").exit_code == 0
    result = run("--fail-if", "kl_ab.mean > 0", "--fail-if", "rows == 50", "--json", "out.json", "--brief")
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed")]
    assert "kl_ab.mean is" in line
    assert "rows is 50, which is == 50" in line
    assert json.loads(Path("out.json").read_text())["scalars"]["rows"] == 50
    missing = run("--align", "none", "--fail-if", "kl_ab.aligned.mean > 2")
    assert missing.exit_code == 2
    assert "No alignment was asked for" in missing.stderr
    assert "was not asked for" in run("--align", "rotation", "--fail-if", "kl_ab.affine.mean > 2").stderr
    assert run("--fail-if", "kl_ab.mean").exit_code == 2


@pytest.mark.usefixtures("files")
def test_json_on_stdout_is_nothing_but_json_with_its_versions():
    result = run("--json", "-")
    data = json.loads(result.stdout)
    assert data["schema"] == 1
    assert data["kullback"]
    assert set(data["coordinates"]["alignments"]) == {"permutation", "rotation"}
    assert data["aggregate"]["rows"] == 50
    low, high = data["aggregate"]["pairs"]["ab"]["bounds"]
    assert low <= data["aggregate"]["pairs"]["ab"]["estimate"]["value"] <= high
    assert data["aggregate"]["models"]["a"]["rate"] == pytest.approx(data["scalars"]["rate_a.mean"])
    assert json.loads(run("--json", "-", "--align", "none").stdout)["coordinates"]["reason"].startswith("No alignment")


@pytest.mark.usefixtures("files")
def test_kinds_of_alignment_are_chosen_by_name():
    data = json.loads(run("--json", "-", "--align", "affine, rotation+shift").stdout)
    assert list(data["coordinates"]["alignments"]) == ["rotation+shift", "affine"]
    assert "kl_ab.rotation_shift.mean" in data["scalars"]
    assert "is no kind of alignment" in run("--align", "shear").stderr
    brief = run("--brief").stdout.splitlines()
    assert "as they stand" in brief[0]
    assert len(brief) < 15


def test_every_number_is_documented_and_the_list_needs_no_files():
    rng = np.random.default_rng(0)
    p = Gaussian.from_std(rng.standard_normal((50, 3)), 0.5)
    q = Gaussian.from_std(rng.standard_normal((50, 3)), 0.5)
    kinds = ("permutation", "rotation", "rotation+shift", "affine")
    assert list(compare(p, q, align=kinds).scalars()) == list(documented())
    assert compare(p, q, align=()).scalars().keys() < documented().keys()
    listed = CliRunner().invoke(commands, ["compare", "--list-scalars"])
    assert listed.exit_code == 0
    assert [line.partition(": ")[0] for line in listed.stdout.splitlines()] == list(documented())


@pytest.fixture
def several(files):
    rng = np.random.default_rng(1)
    np.savez("c.npz", mu=rng.standard_normal((50, 3)), std=np.full((50, 3), 0.5))


@pytest.mark.usefixtures("files", "several")
def test_of_several_files_each_pair_is_compared_and_gated():
    command = ["compare", "a.npz", "b.npz", "c.npz", "--fail-if", "kl_ab.aligned.mean > 1"]
    result = CliRunner().invoke(commands, [*command, "--json", "all.json", "--report", "all.html", "--top", "3"])
    assert result.exit_code == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("failed")]
    assert "a and c: kl_ab.aligned.mean is" in line
    assert "b and c: kl_ab.aligned.mean is" in line
    assert "a and b" not in line
    data = json.loads(Path("all.json").read_text())
    assert data["names"] == ["a", "b", "c"]
    assert len(data["pairs"]) == 3
    assert len(data["pairs"][0]["ab"]["largest"]) == 3
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    assert float(lines["aligned.1.2"]) < 1 < float(lines["aligned.1.3"])
    assert "kullback compare a.npz b.npz c.npz --fail-if" in Path("all.html").read_text()
    brief = CliRunner().invoke(commands, ["compare", "a.npz", "b.npz", "c.npz", "--brief", "--names", "x, y,z"])
    assert brief.exit_code == 0
    assert "x and y are nearest" in brief.stdout
    assert json.loads(CliRunner().invoke(commands, ["compare", *"a.npz b.npz c.npz --json -".split()]).stdout)["schema"]


@pytest.mark.usefixtures("files", "several")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("a.npz b.npz c.npz --names x,y", "--names takes 3 different names"),
        ("a.npz b.npz c.npz --names x,y,x", "--names takes 3 different names"),
        ("a.npz b.npz c.npz --names x,y,z,x", "--names takes 3 different names"),
        ("a.npz b.npz c.npz --models x,y", "each must hold one"),
        ("a.npz b.npz c.npz --json a.json --report c.npz", "c.npz"),
        ("a.npz b.npz nowhere.npz", "no such file"),
        ("a.npz b.npz c.npz --top 0", "--top"),
    ],
)
def test_wrong_use_of_several_files_says_why_and_writes_nothing(arguments, says):
    before = {path: path.read_bytes() for path in Path().iterdir()}
    result = CliRunner().invoke(commands, ["compare", *arguments.split()])
    assert result.exit_code == 2
    assert says in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.usefixtures("files", "several")
def test_aggregates_are_compared_for_two_models_unless_the_command_says_otherwise():
    def rows(*arguments):
        data = json.loads(
            CliRunner().invoke(commands, ["compare", *arguments, "--json", "-", "--align", "none"]).stdout
        )
        return [pair["aggregate"].get("rows") for pair in data.get("pairs", [data])]

    assert rows("a.npz", "b.npz") == [50]
    assert rows("a.npz", "b.npz", "--no-aggregate") == [None]
    assert rows("a.npz", "b.npz", "c.npz") == [None] * 3
    assert rows("a.npz", "b.npz", "c.npz", "--aggregate") == [50] * 3


@pytest.mark.usefixtures("files")
def test_top_is_how_many_inputs_are_listed():
    lines = run("--top", "4").stdout.splitlines()
    assert len([line for line in lines if line.startswith("kl_ab.largest.")]) == 4


@pytest.mark.usefixtures("files")
def test_a_reader_that_leaves_early_loses_no_output():
    command = f"{sys.executable} -m kullback compare a.npz b.npz --no-aggregate --json out.json | head -1"
    subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert json.loads(Path("out.json").read_text())["scalars"]["rows"] == 50
