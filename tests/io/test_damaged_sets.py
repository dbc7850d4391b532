"""Data sets of several files of which one is damaged: the message says which file, and where in it."""

import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner

from kullback import PosteriorFileError
from kullback.cli.app import commands
from kullback.io.posteriors import open_posteriors

RNG = np.random.default_rng(0)
ROWS, GROUP, D = 40, 10, 3
NUMBERS = RNG.standard_normal((3, 2, ROWS, D)).astype(np.float32)


def table(part, **changes):
    mean, logvar = NUMBERS[part]
    columns = {"id": np.arange(part * ROWS, (part + 1) * ROWS), "mu": mean, "logvar": logvar, **changes}
    return pa.table({name: x if x.ndim == 1 else list(x) for name, x in columns.items() if x is not None})


def write(path, content):
    pyarrow.parquet.write_table(content, path, row_group_size=GROUP)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two models in parts of three files."""
    monkeypatch.chdir(tmp_path)
    for model in "ab":
        (tmp_path / model).mkdir()
        for part in range(3):
            write(f"{model}/part-{part}.parquet", table(part))
    return tmp_path


def refused(*says, arguments=("kl", "a", "b")):
    """Check that a command writes nothing and says all this in one line."""
    for more in ((), ("-o", "out.parquet")):
        result = CliRunner().invoke(commands, [*arguments, *more])
        assert result.exit_code == 2, result.output
        (line,) = result.stderr.splitlines()
        for text in says:
            assert re.search(text, line), line
        assert not Path("out.parquet").exists()
    return line


def changed(part=1, **values):
    """Write a part anew with some values in place of others."""
    write(f"a/part-{part}.parquet", table(part, **values))


def with_value(column, row, dimension, value):
    x = NUMBERS[1][column].copy()
    x[row, dimension] = value
    return x


def test_without_damage_all_rows_are_read(folder):
    result = CliRunner().invoke(commands, ["kl", "a", "b"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 3 * ROWS + 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_part_that_is_cut_off_is_named(share, folder):
    data = Path("a/part-1.parquet").read_bytes()
    Path("a/part-1.parquet").write_bytes(data[: int(share * len(data))])
    refused(r"part-1\.parquet", "damaged")


def test_a_part_that_is_no_parquet_is_named(folder):
    Path("a/part-1.parquet").write_text("mu,logvar\n1,2\n")
    refused(r"part-1\.parquet", "damaged")


def test_a_part_whose_pages_are_overwritten_is_named(folder):
    data = bytearray(Path("a/part-1.parquet").read_bytes())
    data[100:1500] = bytes(1400)
    Path("a/part-1.parquet").write_bytes(data)
    refused(r"part-1\.parquet")


def test_a_part_of_another_width_is_named_with_both_shapes(folder):
    changed(mu=NUMBERS[1][0][:, :2], logvar=NUMBERS[1][1][:, :2])
    refused(r"part-1\.parquet", r"\(3,\)", r"\(2,\)")


def test_a_part_that_lacks_a_column_is_named(folder):
    changed(logvar=None)
    refused(r"part-1\.parquet", "lacks 'logvar'")


def test_a_part_without_ids_is_named(folder):
    changed(id=None)
    refused(r"part-1\.parquet", "lacks 'id'")


def test_a_part_with_a_further_column_is_named(folder):
    changed(std=NUMBERS[1][1])
    refused(r"part-1\.parquet", "'std'")


def test_a_part_of_another_kind_is_named(folder):
    changed(mu=np.full((ROWS, D), "x"))
    refused(r"part-1\.parquet", "'mu'")


def test_a_part_whose_ids_are_text_is_named(folder):
    changed(id=np.array([f"input {i}" for i in range(ROWS)]))
    refused(r"part-1\.parquet", "'id'")


@pytest.mark.parametrize(("value", "text"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_a_number_that_is_not_finite_is_placed(value, text, folder):
    changed(mu=with_value(0, 27, 1, value))
    refused(r"part-1\.parquet, row group 2, row 27, dimension 1", f": {text} ", "'mu'")


def test_the_row_of_a_damaged_part_can_be_left_out(folder):
    changed(mu=with_value(0, 27, 1, np.nan))
    result = CliRunner().invoke(commands, ["kl", "a", "b", "--on-bad", "skip"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 3 * ROWS
    assert re.search(r"part-1\.parquet, row group 2, row 27, dimension 1: nan", result.stderr), result.stderr


def test_an_empty_number_is_placed(folder):
    content = table(1)
    rows = content["mu"].to_pylist()
    rows[27] = [1.0, None, 1.0]
    write("a/part-1.parquet", content.set_column(1, "mu", pa.array(rows, pa.list_(pa.float32()))))
    refused(r"part-1\.parquet", "row group 2, row 27, dimension 1: null")


def test_a_row_of_another_width_is_placed(folder):
    content = table(1)
    rows = content["mu"].to_pylist()
    rows[27] = [1.0, 2.0]
    write("a/part-1.parquet", content.set_column(1, "mu", pa.array(rows, pa.list_(pa.float32()))))
    refused(r"part-1\.parquet", "row group 2, row 27", "2 numbers")


def test_a_part_without_rows_adds_none(folder):
    for model in "ab":
        write(f"{model}/part-1.parquet", table(1).slice(0, 0))
    result = CliRunner().invoke(commands, ["kl", "a", "b"])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 2 * ROWS + 1


def test_a_set_without_rows_is_refused(folder):
    for part in range(3):
        write(f"a/part-{part}.parquet", table(part).slice(0, 0))
    refused("a: ", "no rows")


def test_an_id_in_two_parts_is_named(folder):
    changed(id=np.arange(ROWS) + ROWS // 2)
    refused("^Error: a", "'20'", "more than once|unique")


def test_ids_that_only_one_set_has_are_counted(folder):
    changed(id=np.where(np.arange(ROWS) == 5, 999, np.arange(ROWS) + ROWS))
    refused("'45'|'999'", "1 ")


def test_parts_that_only_one_set_has_are_counted(folder):
    Path("b/part-2.parquet").unlink()
    refused("b: lacks 40 ", "'80'")


def test_a_part_that_vanishes_while_the_set_is_read_is_named(folder):
    model = open_posteriors("a").model()
    batches = model.batches(0, 3 * ROWS, GROUP)
    assert len(next(batches).gaussian) == GROUP
    Path("a/part-2.parquet").unlink()
    with pytest.raises(PosteriorFileError, match=r"part-2\.parquet.*No such file"):
        list(batches)


def test_a_part_that_is_cut_off_while_the_set_is_read_is_named(folder):
    model = open_posteriors("a").model()
    batches = model.batches(0, 3 * ROWS, GROUP)
    next(batches)
    data = Path("a/part-2.parquet").read_bytes()
    Path("a/part-2.parquet").unlink()
    Path("a/part-2.parquet").write_bytes(data[:500])
    with pytest.raises(PosteriorFileError, match=r"part-2\.parquet"):
        list(batches)


def test_a_part_that_grows_between_opening_and_reading_is_refused_or_read_as_it_was(folder):
    model = open_posteriors("a").model()
    whole = pa.concat_tables([table(2), table(0)])
    Path("a/part-2.parquet").unlink()
    write("a/part-2.parquet", whole)
    rows = [batch.gaussian.mean for batch in model.batches(0, len(model), GROUP)]
    np.testing.assert_array_equal(np.concatenate(rows), NUMBERS[:, 0].reshape(-1, D))


def test_a_pattern_names_the_damaged_part_too(folder):
    Path("a/part-1.parquet").write_bytes(b"")
    refused(r"part-1\.parquet", "damaged", arguments=("kl", "a/part-*.parquet", "b"))


def test_comparing_names_the_place_too(folder):
    changed(mu=with_value(0, 27, 1, np.nan))
    result = CliRunner().invoke(
        commands, ["compare", "a", "b", "--align", "none", "--no-aggregate", "--json", "o.json"]
    )
    assert result.exit_code == 2, result.output
    assert re.search(r"part-1\.parquet, row group 2, row 27, dimension 1: nan", result.stderr), result.stderr
    assert not Path("o.json").exists()


def test_a_folder_that_is_gone_is_said(folder):
    shutil.rmtree("a")
    refused("a: no such file")
