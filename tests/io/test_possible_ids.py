"""Columns that may identify rows, and that no name says so of, are told where rows are joined by order."""

import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from kullback import compare
from kullback.cli.app import commands
from kullback.io.joining import joined
from kullback.io.reading import Reading

MU = np.random.default_rng(0).normal(size=(20, 2))
ORDER = np.random.default_rng(1).permutation(20)
NAMES = np.array([f"image {i}.png" for i in range(20)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(a, b, **more):
    """Two files of the same rows, of which the second are in another order; with these columns of ids."""
    for path, name, order in (("a.parquet", a, np.arange(20)), ("b.parquet", b, ORDER)):
        columns = {"mu": list(MU[order]), "std": [[1.0, 1.0]] * 20, **{k: x[order] for k, x in more.items()}}
        if name:
            columns[name] = NAMES[order]
        pyarrow.parquet.write_table(pa.table(columns), path)


def kl(*options):
    return CliRunner().invoke(commands, ["kl", "a.parquet", "b.parquet", *options])


@pytest.mark.parametrize("name", ["filename", "idx", "name", "uid", "label"])
def test_a_column_that_may_identify_rows_is_said_and_can_be_named(name, folder):
    write(name, name)
    done = kl()
    assert f"note: rows are joined by their order, though column '{name}' may identify them" in done.stderr
    assert f"say --id {name} (in Python, rename it to 'id')" in done.stderr
    with pytest.warns(UserWarning, match=f"column '{name}' may identify them"):
        compare("a.parquet", "b.parquet", align=())
    done = kl("--id", name)
    assert done.stderr == ""
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    assert [row[0] for row in rows] == NAMES.tolist()
    assert {float(row[1]) for row in rows} == {0.0}
    assert kl("--by-order").stderr == ""


def test_columns_of_two_names_are_given_for_two_models(folder):
    write("filename", "uid")
    assert "--id filename,uid" in kl().stderr
    assert {line.split(",")[1] for line in kl("--id", "filename,uid").stdout.splitlines()[1:]} == {"0.0"}


def test_integers_may_identify_rows_and_what_repeats_or_is_of_one_file_does_not(folder):
    write(None, None, number=np.arange(20), digit=np.arange(20) % 10, loss=MU[:, 0])
    assert "column 'number' may identify" in kl().stderr
    write("filename", None, digit=np.arange(20) % 10)
    assert kl().stderr == ""
    [a], [b] = (Reading().models([name]) for name in ("a.parquet", "b.parquet"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        joined(a, b)


def test_a_recognised_id_of_one_file_beside_another_is_said(folder):
    write("id", "filename")
    assert "columns 'id', 'filename' may identify them. If so, say --id id,filename" in kl().stderr


def test_a_name_that_is_not_there_or_contradicts_is_refused(folder):
    write("filename", "filename")
    assert "there is no column 'nope'. Columns are 'mu' (20, 2)" in kl("--id", "nope").stderr
    assert "Leave out the other" in kl("--id", "filename", "--by-order").stderr
    assert "give one" in kl("--id", "a,b,c").stderr


def test_of_two_columns_called_as_ids_one_is_named(folder):
    write("user_id", "user_id", image_id=np.arange(20))
    assert "Say which: --id NAME" in kl().stderr
    assert kl("--id", "user_id").exit_code == 0


def test_three_models_are_told_once(folder):
    write("filename", "filename")
    done = CliRunner().invoke(
        commands, ["compare", "a.parquet", "b.parquet", "a.parquet", "--brief", "--align", "none"]
    )
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("may identify them") == 1
