"""Arguments that a shell made of a pattern."""

import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from kullback.cli.app import commands


@pytest.fixture
def runs(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    for run in "ab":
        (tmp_path / run).mkdir()
        for part in range(3):
            mu, logvar = random.normal(size=(2, 4, 2))
            table = pa.table({"id": np.arange(4) + 4 * part, "mu": list(mu), "logvar": list(logvar)})
            pyarrow.parquet.write_table(table, tmp_path / run / f"part-{part}.parquet")
    monkeypatch.chdir(tmp_path)


def kl(*arguments):
    return CliRunner().invoke(commands, ["kl", *arguments])


def parts(run, *numbers):
    return [f"{run}/part-{number}.parquet" for number in numbers]


def test_all_parts_of_two_folders_are_two_models(runs):
    want, found = kl("a/", "b/"), kl(*parts("a", 0, 1, 2), *parts("b", 0, 1, 2))
    assert (want.exit_code, found.exit_code) == (0, 0)
    assert found.stdout == want.stdout
    assert (
        found.stderr == "note: the 3 files of a are read as one model\nnote: the 3 files of b are read as one model\n"
    )


def test_some_of_the_parts_of_a_folder_ask_for_quotes(runs):
    found = kl(*parts("a", 0, 1), "b/")
    assert found.exit_code == 2
    assert "the folder holds others. If the shell expanded a pattern, quote it.\n" in found.stderr
    assert kl("a/part-[01].parquet", "b/part-[01].parquet").exit_code == 0


def test_single_parts_are_two_files(runs):
    found = kl(*parts("a", 0), *parts("b", 0))
    assert (found.exit_code, found.stderr) == (0, "")


def test_the_pattern_that_is_advised_matches_what_was_given(runs, tmp_path):
    for number in (10, 11, 20):
        (tmp_path / "a" / f"part-{number}.parquet").write_bytes((tmp_path / "a/part-0.parquet").read_bytes())
    for pattern in ("a/part-1*.parquet", "a/part-?.parquet", "a/part-1?.parquet"):
        given = sorted(map(str, Path().glob(pattern)))
        said = kl(*given, "b/").stderr
        assert "quote it: " in said
        advised = shlex.split(said.rpartition("quote it: ")[2].rstrip(".\n"))[0]
        assert sorted(map(str, Path().glob(advised))) == given


def test_more_files_than_a_command_takes_are_parts_whatever_they_are_called(runs, tmp_path):
    want = kl("a/", "b/")
    for run in "ab":
        for number, name in enumerate(("first", "second", "x.y")):
            (tmp_path / run / f"part-{number}.parquet").rename(tmp_path / run / f"{name}.parquet")
    names = [[f"{run}/{name}.parquet" for name in ("first", "second", "x.y")] for run in "ab"]
    found = kl("--by-order", *names[0], *names[1], "-o", "out.csv")
    assert (found.exit_code, found.stderr.splitlines()[0]) == (0, "note: the 3 files of a are read as one model")
    assert Path("out.csv").read_text() == want.stdout
    # The value of an option is no part: not when it is not there, and not when it is.
    for _ in range(2):
        found = kl("-o", "a/out.csv", "a/first.parquet", "b/first.parquet")
        assert (found.exit_code, found.stderr.splitlines()[0][:5]) == (0, "wrote")
    found = kl(*names[0], *names[1])
    assert found.exit_code == 2
    assert "3 files of a are parts of one data set, and the folder holds others. If the shell" in found.stderr
