"""Columns of rows, written in parts that are put together."""

import csv
import io
import os
import re

import numpy as np
import pyarrow.dataset
import pyarrow.parquet
import pytest

from kullback.errors import PosteriorFileError
from kullback.io.row_formats import FOLDER, ROW_FORMATS, csv_text, id_array
from kullback.io.row_outputs import row_output

SUFFIXES = sorted(ROW_FORMATS)


def written(folder, suffix, *parts):
    """The file of these parts, each of columns."""
    paths = []
    for number, columns in enumerate(parts):
        paths.append(folder / f"{number}{suffix}")
        ROW_FORMATS[suffix].write(paths[-1], columns)
    ROW_FORMATS[suffix].assemble(paths, folder / f"out{suffix}")
    return folder / f"out{suffix}"


def read(path):
    """The ids and the values of a file, by another reader."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            return data["id"].tolist(), data["kl"]
    if path.suffix == ".parquet":
        table = pyarrow.parquet.read_table(path)
        return table["id"].to_pylist(), table["kl"].to_numpy()
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    return [row["id"] for row in rows], np.array([row["kl"] for row in rows], dtype=np.float32)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
@pytest.mark.parametrize("split", [1, 2])
def test_ids_of_64_bits_keep_every_one(suffix, split, tmp_path):
    ids = [1, 2**63 + 1]
    parts = [ids] if split == 1 else [ids[:1], ids[1:]]
    path = written(tmp_path, suffix, *({"id": id_array(part), "kl": np.zeros(len(part))} for part in parts))
    assert read(path)[0] == ids


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_ids_that_no_integer_type_holds_together_are_refused(suffix, tmp_path):
    parts = ({"id": id_array([key]), "kl": np.zeros(1)} for key in (-1, 2**63))
    with pytest.raises(PosteriorFileError, match="negative"):
        written(tmp_path, suffix, *parts)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ([-1, 2**63], "negative and another is 2⁶³ or more"),
        ([1, 2**64], f"id {2**64} does not fit into 64 bits"),
        ([-(2**63) - 1, 1], f"id {-(2**63) - 1} does not fit into 64 bits"),
        (["a\0", "a"], r"id 'a\\x00' ends in the character NUL"),
        ([1, "one"], "ids must be all integers or all strings"),
        (["one", 1], "id '1': ids must be all integers or all strings"),
    ],
)
def test_ids_that_no_array_holds_are_refused(ids, says):
    with pytest.raises(PosteriorFileError, match=re.escape(says)):
        id_array(ids)


def test_ids_keep_what_they_are():
    for ids in (["\0a", "a\0b", "ä"], [-(2**63), 2**63 - 1], [0, 2**64 - 1], list(np.arange(3))):
        assert id_array(ids).tolist() == ids


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_strings_beside_integers_are_refused(suffix, tmp_path):
    parts = ({"id": id_array([key]), "kl": np.zeros(1)} for key in (1, "one"))
    with pytest.raises(PosteriorFileError, match="one kind"):
        written(tmp_path, suffix, *parts)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("split", [1, 2, 3])
def test_rows_are_written_with_their_ids_and_every_digit(suffix, split, tmp_path):
    ids, values = ["a,b", 'q"', "a longer one"], np.array([0.1, 1e-30, 3e30], dtype=np.float32)
    cuts = np.array_split(np.arange(3), split)
    path = written(tmp_path, suffix, *({"id": id_array(ids)[cut], "kl": values[cut]} for cut in cuts))
    found, kl = read(path)
    assert found == ids
    np.testing.assert_array_equal(kl, values)


def test_npz_and_csv_do_not_show_their_parts(tmp_path):
    ids, values = id_array([f"row {i}" for i in range(100)]), np.random.default_rng(0).normal(size=100)
    for suffix in (".npz", ".csv"):
        found = []
        for split in (1, 7):
            folder = tmp_path / f"{split}"
            folder.mkdir(exist_ok=True)
            cuts = np.array_split(np.arange(100), split)
            path = written(folder, suffix, *({"id": ids[cut], "kl": values[cut]} for cut in cuts))
            found.append(path.read_bytes())
        assert found[0] == found[1]


def test_an_npz_is_what_numpy_writes(tmp_path):
    columns = {"id": id_array(range(5)), "kl": np.linspace(0, 1, 5)}
    path = written(tmp_path, ".npz", columns)
    file = io.BytesIO()
    np.savez(file, **columns)
    ours, numpys = (np.load(where) for where in (path, io.BytesIO(file.getvalue())))
    with ours, numpys:
        assert ours.files == numpys.files
        for name in ours.files:
            assert ours[name].dtype == numpys[name].dtype
            np.testing.assert_array_equal(ours[name], numpys[name])


def test_a_part_of_an_npz_has_the_columns_alone_and_no_pickle(tmp_path):
    columns = {"id": id_array(["one", "two"]), "file": np.zeros((2, 3))}
    ROW_FORMATS[".npz"].write(tmp_path / "part.npz", columns)
    with np.load(tmp_path / "part.npz") as part:
        assert {name: part[name].tolist() for name in part.files} == {k: x.tolist() for k, x in columns.items()}
    with pytest.raises(ValueError, match="allow_pickle"):
        ROW_FORMATS[".npz"].write(tmp_path / "part.npz", {"id": np.array(["one", 2], dtype=object)})


def test_a_row_group_is_a_part(tmp_path):
    sizes = [3, 1, 5]
    path = written(tmp_path, ".parquet", *({"id": id_array(range(n)), "kl": np.zeros(n)} for n in sizes))
    metadata = pyarrow.parquet.read_metadata(path)
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == sizes


def test_the_files_of_a_folder_agree_in_their_types(tmp_path):
    ids = [[1], [2**63 + 1], [3]]
    paths = [tmp_path / f"part-{i}.parquet" for i in range(3)]
    for path, some in zip(paths, ids, strict=True):
        FOLDER.write(path, {"id": id_array(some), "kl": np.zeros(1)})
    FOLDER.agree(paths)
    assert pyarrow.dataset.dataset(tmp_path).to_table()["id"].to_pylist() == [1, 2**63 + 1, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_csv_holds_the_number_itself(dtype):
    bits = np.random.default_rng(0).integers(0, 2**63, size=2000, dtype=np.uint64)
    values = np.concatenate([bits.view(dtype), np.array([0.0, -0.0, np.inf, -np.inf, 1e16, 5e-324], dtype=dtype)])
    values = values[~np.isnan(values)]
    lines = csv_text({"id": id_array(range(len(values))), "kl": values}, header=True).splitlines()
    assert lines[0] == "id,kl"
    back = np.array([line.split(",")[1] for line in lines[1:]]).astype(dtype)
    assert back.tobytes() == values.tobytes()


def test_an_output_is_a_file_of_a_known_kind_or_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not row_output("out.csv").is_folder
    assert row_output("out/").is_folder
    with pytest.raises(PosteriorFileError, match="unknown kind"):
        row_output("out")
    os.mkdir("out")
    assert row_output("out").is_folder
    os.mkdir("some.csv")
    with pytest.raises(PosteriorFileError, match="is a folder"):
        row_output("some.csv")
    (tmp_path / "file").write_text("")
    with pytest.raises(PosteriorFileError, match="the slash asks for a folder"):
        row_output("file/")
    with pytest.raises(PosteriorFileError, match="there is no folder"):
        row_output("nowhere/out/")


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "part-00000.parquet").write_text("")
    assert row_output(f"{tmp_path}/").is_folder
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(PosteriorFileError, match=r"thesis\.txt"):
        row_output(f"{tmp_path}/")
    (tmp_path / "thesis.txt").rename(tmp_path / "part-00001-4f5b.snappy.parquet")
    with pytest.raises(PosteriorFileError, match=r"holds 'part-00001-4f5b\.snappy\.parquet'"):
        row_output(f"{tmp_path}/")


def test_links_are_followed_and_circles_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("elsewhere")
    os.symlink("elsewhere/out.csv", "out.csv")
    assert row_output("out.csv").target == tmp_path.resolve() / "elsewhere" / "out.csv"
    os.symlink("nowhere/out.csv", "lost.csv")
    with pytest.raises(PosteriorFileError, match="there is no folder"):
        row_output("lost.csv")
    os.symlink("one.csv", "two.csv")
    os.symlink("two.csv", "one.csv")
    with pytest.raises(PosteriorFileError, match=re.compile("symbolic links", re.IGNORECASE)):
        row_output("one.csv")
