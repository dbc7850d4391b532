"""kullback pairwise and kullback nearest, on real files, against brute force by NumPy."""

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from kullback.cli.app import commands

RNG = np.random.default_rng(0)
MU, LOGVAR = RNG.standard_normal((2, 40, 3))
MU_B, LOGVAR_B = RNG.standard_normal((2, 25, 3))
IDS = [f"row-{i}" for i in range(25)]


def kl():
    """The textbook formula."""
    p, q, delta = np.exp(LOGVAR)[:, None], np.exp(LOGVAR_B), MU[:, None] - MU_B
    return 0.5 * ((p + delta**2) / q - 1 + LOGVAR_B - LOGVAR[:, None]).sum(-1)


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", mu=MU, logvar=LOGVAR)
    np.savez("b.npz", mu=MU_B, logvar=LOGVAR_B, id=np.array(IDS))


def run(*arguments, code=0):
    result = CliRunner().invoke(commands, arguments)
    assert result.exit_code == code, result.output
    return result


def test_the_matrix_is_that_of_all_pairs(tmp_path):
    zarr = pytest.importorskip("zarr")
    for name in ("kl.npy", "kl.csv", "kl.zarr", "kl.zarr"):
        said = run("pairwise", "a.npz", "b.npz", "-o", name).stderr
        assert said == f"wrote 40 × 25 divergences to {name}\n"
    rows = list(csv.reader(Path("kl.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["id", *IDS]
    assert [row[0] for row in rows[1:]] == [str(i) for i in range(40)]
    text = np.array([row[1:] for row in rows[1:]], dtype=float)
    for values in (text, np.load("kl.npy"), zarr.open_array("kl.zarr", mode="r")[:]):
        np.testing.assert_allclose(values, kl(), rtol=1e-11)
    run("pairwise", "b.npz", "-o", "itself.npy", "--divergence", "wasserstein2")
    assert (np.load("itself.npy").diagonal() == 0).all()


def test_the_nearest_are_those_of_the_matrix():
    want = kl()
    order = want.argsort(1)[:, :4]
    for name in ("near.parquet", "near.csv", "near.npz"):
        run("nearest", "a.npz", "b.npz", "-k", "4", "-o", name)
    table = pq.read_table("near.parquet").to_pydict()
    with np.load("near.npz") as file:
        assert {key: file[key].tolist() for key in file} == table
    rows = list(csv.DictReader(Path("near.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["neighbour"] for row in rows] == table["neighbour"]
    assert list(table) == ["id", "rank", "neighbour", "kl"]
    assert table["id"] == np.repeat(np.arange(40), 4).tolist()
    assert table["rank"] == [1, 2, 3, 4] * 40
    assert table["neighbour"] == [IDS[j] for j in order.flatten()]
    np.testing.assert_allclose(table["kl"], np.take_along_axis(want, order, 1).flatten(), rtol=1e-11)


def test_rows_that_are_skipped_are_in_neither_result(tmp_path):
    mu, mu_b = MU.copy(), MU_B.copy()
    mu[[0, 9]], mu_b[4, 2] = np.inf, np.nan
    np.savez("a_bad.npz", mu=mu, logvar=LOGVAR)
    np.savez("b_bad.npz", mu=mu_b, logvar=LOGVAR_B, id=np.array(IDS))
    for output in ("near.npz", "kl.npy", "kl.csv"):
        name = "nearest" if output == "near.npz" else "pairwise"
        said = run(name, "a_bad.npz", "b_bad.npz", "-o", output, code=2).stderr
        assert "inf is not a valid mean" in said or "nan is not a valid mean" in said
        said = run(name, "a_bad.npz", "b_bad.npz", "-o", output, "--on-bad", "skip").stderr
        assert "note: 3 rows were left out (--on-bad skip):" in said
        assert [f"id {key!r}" in said for key in ("0", "9", "row-4")] == [True] * 3
    rows, columns = np.delete(np.arange(40), [0, 9]), np.delete(np.arange(25), 4)
    want = kl()[np.ix_(rows, columns)]
    np.testing.assert_allclose(np.load("kl.npy"), want, rtol=1e-11)
    text = list(csv.reader(Path("kl.csv").read_text(encoding="utf-8").splitlines()))
    assert text[0] == ["id", *(IDS[j] for j in columns)]
    assert [row[0] for row in text[1:]] == [str(i) for i in rows]
    order = want.argsort(1)[:, :10]
    with np.load("near.npz") as file:
        assert file["id"].tolist() == rows.repeat(10).tolist()
        assert file["neighbour"].tolist() == [IDS[columns[j]] for j in order.flatten()]
    # A model that is searched itself has its rows left out once.
    assert "note: 2 rows were left out" in run("nearest", "a_bad.npz", "-o", "o.npz", "--on-bad", "skip").stderr
    assert "note: 2 rows were left out" in run("pairwise", "a_bad.npz", "-o", "o.npy", "--on-bad", "skip").stderr


@pytest.mark.parametrize(
    ("name", "function"), [("nearest", "nearest.nearest_in_blocks"), ("pairwise", "pairwise.pairwise")]
)
def test_a_defect_is_not_told_as_bad_input(name, function, monkeypatch):
    def defect(*arguments):
        raise ValueError("operands could not be broadcast")

    monkeypatch.setattr(f"kullback.jobs.{function}", defect)
    result = CliRunner().invoke(commands, [name, "a.npz", "b.npz", "-o", f"o.{'npz' if name == 'nearest' else 'npy'}"])
    assert (result.exit_code, str(result.exception)) == (1, "operands could not be broadcast")


def test_zarr_that_is_not_installed_is_said_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    said = run("pairwise", "a.npz", "b.npz", "-o", "kl.zarr", code=2).stderr
    assert said == "Error: kl.zarr: needs the library zarr: pip install 'kullback[zarr]'.\n"
    assert sorted(path.name for path in Path().iterdir()) == ["a.npz", "b.npz"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nearest", "a.npz", "b.npz", "-k", "26", "-o", "o.csv"], "k is a whole number from 1 to 25"),
        (["nearest", "a.npz", "b.npz", "-o", "o.zarr"], "unknown kind of file"),
        (["pairwise", "a.npz", "b.npz", "-o", "a.npz"], "is an input"),
        (["pairwise", "a.npz", "wide.npz", "-o", "o.npy"], "latent shapes differ"),
        (["pairwise", "large.npz", "-o", "o.csv"], "too many for CSV"),
        (["pairwise", "a.npz", "-o", "o.csv", "--resume"], "--resume continues .zarr and .npy"),
        (["nearest", "a.npz", "-o", "o.csv", "--engine", "local", "--scheduler", "tcp://x:1"], "Leave one out"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line(arguments, message):
    np.savez("wide.npz", mu=np.zeros((2, 4)), logvar=np.zeros((2, 4)))
    np.savez("large.npz", mu=np.zeros((1001, 1)), logvar=np.zeros((1001, 1)))
    said = run(*arguments, code=2).stderr
    assert message in said
    assert len(said.splitlines()) == 1
