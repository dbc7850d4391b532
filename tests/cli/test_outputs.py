"""What commands write: nothing of the user's is destroyed, and what cannot be written or found is said in one line."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from kullback.cli.app import commands

MU, LOGVAR = np.random.default_rng(0).standard_normal((2, 12, 3))


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", mu=MU, logvar=LOGVAR)
    np.savez("b.npz", mu=MU + 1, logvar=LOGVAR, id=np.array([f"row-{i}" for i in range(12)]))


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == code, result.output
    return result


def refused(*arguments):
    """What is said, in one line; nothing is written or removed."""
    before = sorted(Path().rglob("*"))
    result = run(*arguments, code=2)
    assert (result.stdout, len(result.stderr.splitlines())) == ("", 1)
    assert sorted(Path().rglob("*")) == before
    return result.stderr


def test_a_folder_that_is_no_matrix_is_not_replaced():
    zarr = pytest.importorskip("zarr")
    for name in ("mine.zarr", "mine.npy"):
        Path(name).mkdir()
        Path(name, "thesis.tex").write_text("mine")
    zarr.open_group("model.zarr", mode="w")["mu"] = MU
    assert "holds 'thesis.tex', which is no part of a matrix" in refused("pairwise", "a.npz", "-o", "mine.zarr")
    assert "is a folder" in refused("pairwise", "a.npz", "-o", "mine.npy")
    assert "holds 'mu', which is no part of a matrix" in refused("pairwise", "a.npz", "-o", "model.zarr")


def test_a_store_that_is_an_input_is_no_output_and_holds_none():
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group("model.zarr", mode="w")
    group["mu"], group["logvar"] = MU, LOGVAR
    os.symlink("model.zarr", "link.zarr")
    for output in ("model.zarr", "link.zarr"):
        assert "is an input" in refused("pairwise", "model.zarr", "a.npz", "-o", output)
    for output in ("model.zarr/zarr.json", "link.zarr/new.json"):
        assert "is an input" in refused("compare", "model.zarr", "a.npz", "--json", output)


@pytest.mark.parametrize(
    "arguments",
    [
        ["kl", "a.npz", "b.npz", "-o", "s3://bucket/out/"],
        ["kl", "a.npz", "b.npz", "-o", ""],
        ["nearest", "a.npz", "-o", "memory://near.csv"],
        ["pairwise", "a.npz", "-o", "gs://bucket/kl.zarr"],
        ["compare", "a.npz", "b.npz", "--json", "file:///numbers.json"],
        ["compare", "a.npz", "b.npz", "--report", ""],
        ["estimate", "x.npy", "--json", "s3://bucket/numbers.json"],
        ["demo", "--json", ""],
    ],
)
def test_what_is_no_path_of_this_machine_is_refused(arguments):
    says = "the name of the output is empty" if "" in arguments else f"{arguments[-1]}: outputs are written to"
    said = refused(*arguments)
    assert says in said
    assert "Give a path" in said


def test_a_dash_is_stdout():
    want = run("kl", "a.npz", "b.npz").stdout
    assert len(want.splitlines()) == 13
    for name in ("-", "/dev/stdout"):
        assert run("kl", "a.npz", "b.npz", "-o", name).stdout == want


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize("arguments", [["kl", "a.npz", "b.npz"], ["--help"], ["info"]])
def test_stdout_that_is_full_is_said(arguments):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "kullback", *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        2, "Error: stdout: cannot be written: No space left on device."
    )  # fmt: skip


def test_a_disk_that_is_full_is_said_with_the_name_of_the_output():
    resource = pytest.importorskip("resource")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    arguments = [sys.executable, "-m", "kullback", "pairwise", "a.npz", "-o", "out.csv"]
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))}
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, **limit)
    assert (ended.returncode, ended.stderr) == (2, "Error: out.csv: File too large.\n")
    assert not list(Path().glob("*out.csv*"))


@pytest.mark.parametrize("output", [[], ["-o", "out.csv"], ["-o", "out/"]])
def test_rows_of_which_none_is_left_are_an_error(output):
    for name, start in (("x", 0), ("y", 100)):
        np.savez(f"{name}.npz", mu=MU, logvar=LOGVAR, id=np.arange(start, start + 12))
    assert "none of 12 rows is left: id '0': no partner" in refused("kl", "x.npz", "y.npz", *output, "--on-bad", "skip")


@pytest.mark.parametrize("arguments", [["bad.npz", "a.npz"], ["a.npz", "bad.npz"]])
@pytest.mark.parametrize(
    "command", [["nearest", "-o", "o.csv"], ["pairwise", "-o", "o.npy"], ["pairwise", "-o", "o.csv"]]
)
def test_all_pairs_of_rows_of_which_none_is_left_are_an_error(command, arguments):
    np.savez("bad.npz", mu=np.full((12, 3), np.nan), logvar=LOGVAR)
    said = refused(*command, *arguments, "--on-bad", "skip")
    of = " of A" if arguments[0] == "bad.npz" else " of B"
    assert f"none of 12 rows{'' if command[0] == 'nearest' and of == ' of A' else of} is left: id '0': " in said


def test_a_matrix_without_some_rows_says_which_are_left():
    zarr = pytest.importorskip("zarr")
    mu = MU.copy()
    mu[[2, 7]] = np.nan
    np.savez("bad.npz", mu=mu, logvar=LOGVAR)
    run("pairwise", "bad.npz", "b.npz", "-o", "kl.zarr", "--on-bad", "skip")
    run("pairwise", "bad.npz", "b.npz", "-o", "kl.csv", "--on-bad", "skip")
    attributes = zarr.open_array("kl.zarr", mode="r").attrs.asdict()
    assert attributes["rows"] == [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]
    assert attributes["columns"] == [f"row-{i}" for i in range(12)]
    rows = list(csv.reader(Path("kl.csv").read_text().splitlines()))
    assert [row[0] for row in rows[1:]] == [str(i) for i in attributes["rows"]]
    said = run("pairwise", "bad.npz", "b.npz", "-o", "kl.npy", "--on-bad", "skip").stderr
    assert "a .npy file does not say which are left" in said
    run("pairwise", "a.npz", "b.npz", "-o", "kl.zarr", "--on-bad", "skip")
    assert zarr.open_array("kl.zarr", mode="r").attrs.asdict().keys() == {"divergence", "kullback"}


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["kl"], 2),
        (["kl", "-o", "o.csv"], 2),
        (["nearest", "-k", "12", "-o", "o.csv"], 24),
        (["pairwise", "-o", "o.npy"], 24),
    ],
)
def test_values_that_float32_does_not_hold_are_counted(arguments, count):
    mu = MU.astype(np.float32)
    mu[[3, 5]] = 1e25  # and its square is beyond float32
    np.savez("far.npz", mu=mu, logvar=LOGVAR.astype(np.float32))
    np.savez("near.npz", mu=MU.astype(np.float32), logvar=LOGVAR.astype(np.float32))
    said = run(*arguments, "far.npz", "near.npz").stderr
    assert f"note: {count} values are infinite in float32, which ends at 3.4e+38; " in said
    assert "infinite" not in run(*arguments, "near.npz", "near.npz").stderr
