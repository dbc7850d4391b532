"""Numbers that are missing are values that are not possible: told as null, and left out where that is asked."""

import io

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from truth.reading import read

from kullback.cli.app import commands
from kullback.errors import PosteriorFileError
from kullback.io.missing import is_null, with_nulls

MU = np.arange(24, dtype="f4").reshape(12, 2)


def with_hole(hole):
    rows = MU.tolist()
    rows[7] = {"row": None, "number": [None, 1.0]}[hole]
    return rows


WRITERS = {
    "parquet": lambda t, p: pyarrow.parquet.write_table(t, p, row_group_size=3),
    "arrow": lambda t, p: pyarrow.feather.write_feather(t, p, chunksize=3, compression="uncompressed"),
}
LISTS = {
    "list": pa.list_(pa.float32()),
    "half": pa.list_(pa.float16()),
    "integers": pa.list_(pa.int32()),
    "large": pa.large_list(pa.float64()),
    "fixed": pa.list_(pa.float32(), 2),
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("hole", ["row", "number"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_null_is_named_or_left_out(suffix, hole, kind, tmp_path):
    cast = np.float16 if kind == "half" else float if kind != "integers" else int
    rows = [None if r is None else [None if x is None else cast(x) for x in r] for r in with_hole(hole)]
    table = pa.table({"id": np.arange(12), "mu": pa.array(rows, LISTS[kind]), "std": [[1.0, 1.0]] * 12})
    path = tmp_path / f"a.{suffix}"
    WRITERS[suffix](table, path)
    with pytest.raises(
        PosteriorFileError, match=r"column 'mu', (row group|record batch) 2, row 7, dimension 0: null is"
    ):
        read(path)
    done = CliRunner().invoke(commands, ["kl", str(path), "--on-bad", "skip"])
    assert done.exit_code == 0, done.stderr
    assert "row 7, dimension 0: null is not a valid mean" in done.stderr
    found = pandas.read_csv(io.StringIO(done.stdout))
    assert found["id"].tolist() == [*range(7), *range(8, 12)]
    want = (MU.astype("f8") ** 2).sum(1) / 2
    np.testing.assert_allclose(found.iloc[:, 1], np.delete(want, 7), rtol=1e-6)


@pytest.mark.parametrize("text", ["0.5", "1"])
def test_an_empty_cell_is_left_out(text, tmp_path):
    (tmp_path / "a.csv").write_text(f"id,mu,std\n3,{text},1\n4,,1\n5,{text},1\n6,{text},\n")
    with pytest.raises(PosteriorFileError, match="column 'mu', row 1, dimension 0: null is not a valid mean"):
        read(tmp_path / "a.csv")
    done = CliRunner().invoke(commands, ["kl", str(tmp_path / "a.csv"), "--on-bad", "skip"])
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == ["id", "3", "5"]
    assert "column 'std', row 3, dimension 0: null is not a valid std" in done.stderr


def test_rows_without_any_width_and_ids_stay_errors(tmp_path):
    for columns, says in (
        ({"mu": pa.array([None] * 3, pa.list_(pa.float32()))}, "nothing says how many numbers a row has"),
        ({"id": pa.array([1, None, 3])}, "column 'id', row 1: empty (null)"),
        ({"id": pa.array(["a", None, "c"])}, "column 'id', row 1: empty"),
    ):
        table = {"mu": [[1.0]] * 3, "std": [[1.0]] * 3, **columns}
        pyarrow.parquet.write_table(pa.table(table), tmp_path / "a.parquet")
        done = CliRunner().invoke(commands, ["kl", str(tmp_path / "a.parquet"), "--on-bad", "skip"])
        assert done.exit_code == 2
        assert says in done.stderr


def test_integers_of_which_one_part_lacks_some_are_never_read_as_others(tmp_path):
    for part, mu in enumerate(([[1], [2]], [[3], [None]])):
        pyarrow.parquet.write_table(pa.table({"mu": mu, "std": [[1.0]] * 2}), tmp_path / f"{part}.parquet")
    with pytest.raises(PosteriorFileError, match="holds integers in one, floating-point numbers in the other"):
        read(tmp_path)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_a_null_is_no_other_nan_and_survives_conversions(dtype):
    found = with_nulls(np.array([1.0, np.nan, 3.0], dtype), np.array([False, True, False, False]))
    for kind in ("f2", "f4", "f8"):
        assert [is_null(x) for x in found.astype(kind).astype("f8").tolist()] == [False, True, False, False]
