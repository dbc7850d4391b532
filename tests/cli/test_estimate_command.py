"""kullback estimate: samples from every kind of file, and files that hold something else."""

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner
from safetensors.numpy import save_file

from kullback import kl_estimate
from kullback.cli.app import commands

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(150, 3)), RNG.normal(size=(200, 3)) + 0.5


def table(rows, head, delimiter=","):
    lines = [delimiter.join(map(repr, map(float, row))) for row in rows]
    return "\n".join([head, *lines] if head else lines) + "\n"


WRITERS = {
    "x.npy": lambda p: np.save(p, X),
    "x.npz": lambda p: np.savez(p, anything=X),
    "with ids.npz": lambda p: np.savez(p, anything=X, id=np.arange(150)),
    "x.safetensors": lambda p: save_file({"z": X}, p),
    "bare.pt": lambda p: torch.save(torch.tensor(X), p),
    "dict.pt": lambda p: torch.save({"z": torch.tensor(X)}, p),
    "x.parquet": lambda p: pq.write_table(pa.table({"id": np.arange(150), **dict(zip("abc", X.T, strict=True))}), p),
    "lists.parquet": lambda p: pq.write_table(pa.table({"z": list(X)}), p),
    "head.csv": lambda p: p.write_text(table(X, "a,b,c")),
    "headless.csv": lambda p: p.write_text(table(X, None)),
    "indexed.csv": lambda p: p.write_text(table(np.c_[np.arange(150), X], ",a,b,c")),
    "counted.csv": lambda p: p.write_text(table(X, "0,1,2")),
    "counted and indexed.csv": lambda p: p.write_text(table(np.c_[np.arange(150), X], ",0,1,2")),
    "quoted.csv": lambda p: p.write_text("".join(",".join(f'"{float(v)!r}"' for v in row) + "\n" for row in X)),
    "marked.csv": lambda p: p.write_text("\ufeff" + table(X, None), encoding="utf-8"),
    "semicolons.csv": lambda p: p.write_text(table(X, "a;b;c", ";")),
    "tabs.csv": lambda p: p.write_text(table(X, None, "\t")),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("y.npy", Y)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(commands, ["estimate", *arguments])


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_number_of_the_arrays(name, folder):
    WRITERS[name](folder / name)
    result = run(name, "y.npy", "--seed", "3", "--json")
    assert result.exit_code == 0, result.output
    found, want = json.loads(result.stdout), kl_estimate(X, Y, seed=3)
    assert found["kl"] == float(want.value)
    assert found["interval"] == [float(v) for v in want.interval]
    assert found["band"] == [float(v) for v in want.band]
    assert found["standard_error"] == float(want.standard_error)
    assert found["n"] == [150, 200]
    assert found["method"] == "calibrated"
    assert found["warnings"] == []


def test_the_lines_say_number_interval_method_and_warnings(folder):
    np.savez("both.npz", x=X, y=np.concatenate([Y, Y[:7]]))
    result = run("both.npz", "both.npz", "--columns", "x,y", "--method", "gaussian", "--json", "out.json")
    assert result.exit_code == 0, result.output
    lines = dict(line.split(": ", 1) for line in result.stdout.splitlines())
    found = json.loads((folder / "out.json").read_text())
    assert lines["kl"].startswith(f"{found['kl']:.4g} nats, give or take {found['standard_error']:.4g}")
    assert lines["interval"] == "{:.4g} to {:.4g} (95 %)".format(*found["interval"])
    assert lines["band"].startswith("{:.4g} to {:.4g}".format(*found["band"]))
    assert lines["method"] == "gaussian, from 150 and 207 samples"
    assert "7 of the 207 rows of q repeat" in lines["warning.1"]
    assert "taken for Gaussian" in lines["warning.2"]
    assert "wrote out.json" in result.stderr


def test_one_column_of_a_table_is_estimated_by_the_process(folder):
    (folder / "t.csv").write_text(table(X, "a,b,c"))
    command = [sys.executable, "-m", "kullback", "estimate", "t.csv", "y1.npy", "--columns", "b", "--seed", "0"]
    np.savez("y1.npz", b=Y[:, 1])
    command[5] = "y1.npz"
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    want = kl_estimate(X[:, 1], Y[:, 1], seed=0)
    assert result.stdout.startswith(f"kl: {float(want.value):.4g} nats")


def test_columns_by_name_are_taken_whatever_they_are_called(folder):
    (folder / "people.csv").write_text(table(X[:, :2], "mean,std"))
    assert run("people.csv", "y.npy").exit_code == 2
    (folder / "bodies.csv").write_text(table(X[:, :2], "weight,height"))
    np.save("y2.npy", Y[:, :2])
    assert run("bodies.csv", "y2.npy", "--seed", "0").exit_code == 0
    for names in ("mean, std", "std"):
        result = run("people.csv", "people.csv", "--columns", names, "--seed", "0")
        assert result.exit_code == 0, result.output


WRONG = {
    "no such file": ("nowhere.npy", "y.npy"),
    "unknown kind of file": ("x.xlsx", "y.npy"),
    "kullback kl, or kullback compare, is exact": ("posteriors.npz", "y.npy"),
    "holds several arrays: a (5, 2), b (6, 2)": ("several.npz", "y.npy"),
    "there is no column 'c'": ("several.npz", "y.npy", "--columns", "c"),
    "rows add up to 1": ("soft.npy", "y.npy"),
    "log-probabilities": ("log.npy", "log.npy"),
    "counts of a histogram": ("counts.npy", "counts.npy"),
    "is the frequencies of a histogram": ("frequencies.npy", "y.npy"),
    "row 4, coordinate 1: nan": ("nan.npy", "y.npy"),
    "row 1, coordinate 0: null; samples": ("hole.csv", "y.npy"),
    "holds <U3, expected numbers": ("text.npy", "y.npy"),
    "p has 3 coordinates, q has 2": ("y.npy", "narrow.npy"),
    "one of auto, calibrated, gaussian, knn": ("y.npy", "y.npy", "--method", "k1"),
    "is an input": ("y.npy", "in.json", "--json", "in.json"),
    "there is no folder": ("y.npy", "y.npy", "--json", "nowhere/out.json"),
    "is pickled, and kullback never unpickles": ("pickled.npy", "y.npy"),
}


@pytest.mark.parametrize("says", WRONG)
def test_what_is_no_samples_is_said_in_one_line(says, folder):
    np.savez("posteriors.npz", mu=X, logvar=X)
    np.savez("several.npz", a=X[:5, :2], b=X[:6, :2])
    soft = np.exp(X) / np.exp(X).sum(1, keepdims=True)
    np.save("soft.npy", soft)
    np.save("log.npy", np.log(soft))
    np.save("counts.npy", np.histogram(X[:, 0], bins=12)[0])
    np.save("frequencies.npy", np.histogram(X[:, 0], bins=12)[0] / 150)
    holed = X.copy()
    holed[4, 1] = np.nan
    np.save("nan.npy", holed)
    np.save("text.npy", np.array(["one", "two"]))
    np.save("narrow.npy", Y[:, :2])
    np.save("pickled.npy", np.array([{}, None]), allow_pickle=True)
    (folder / "hole.csv").write_text("a,b\n1.0,2.0\n,3.0\n4.0,5.0\n")
    (folder / "x.xlsx").write_text("")
    (folder / "in.json").write_text("{}")
    before = sorted(folder.iterdir())
    result = run(*WRONG[says])
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert sorted(folder.iterdir()) == before
    assert (folder / "in.json").read_text() == "{}"


def test_an_infinite_end_of_a_band_is_null_in_json(folder):
    np.save("wide.npy", RNG.uniform(0, 10, (500, 1)))
    np.save("narrow.npy", RNG.uniform(0, 1, (500, 1)))
    result = run("wide.npy", "narrow.npy", "--seed", "0", "--json")

    def refuse(constant):
        raise AssertionError(constant)  # Infinity and NaN, which are no JSON

    assert json.loads(result.stdout, parse_constant=refuse)["band"][1] is None


def test_a_second_name_of_a_column_without_a_second_file_is_refused(folder):
    (folder / "t.csv").write_text(table(X, "a,b,c"))
    result = run("t.csv", "--columns", "a,b")
    assert result.exit_code == 2
    assert "second name, 'b'" in result.stderr
    assert run("t.csv", "--columns", "a").exit_code == 0
