"""Several files as one model: folders, patterns, shards, pairs, and addresses elsewhere."""

import itertools
import json
import os
import pickle
import re

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from truth.reading import read

from kullback import PosteriorFileError
from kullback.io.datasets import open_dataset
from kullback.io.places import place
from kullback.io.posteriors import open_posteriors
from kullback.io.reading import Reading

RNG = np.random.default_rng(5)
ROWS = 60
MU, LOGVAR = RNG.standard_normal((2, ROWS, 3)).astype(np.float32)
CUTS = (0, 7, 7, 33, 60)
SLICES = [slice(a, b) for a, b in itertools.pairwise(CUTS)]


def parquet(path, rows, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {"id": np.arange(ROWS)[rows], "mu": list(MU[rows]), "logvar": list(LOGVAR[rows]), **more}
    types = {"id": pa.int64(), "mu": pa.list_(pa.float32()), "logvar": pa.list_(pa.float32())}
    table = pa.table({k: pa.array(v, types.get(k)) for k, v in columns.items()})
    pyarrow.parquet.write_table(table, path, row_group_size=5)


def npz(path, rows):
    np.savez(path, mu=MU[rows], logvar=LOGVAR[rows], id=np.arange(ROWS)[rows])


def tensors(path, rows):
    safetensors.torch.save_file({"mu": torch.from_numpy(MU[rows]), "logvar": torch.from_numpy(LOGVAR[rows])}, path)


def pt(path, rows):
    torch.save({"mu": torch.from_numpy(MU[rows]), "logvar": torch.from_numpy(LOGVAR[rows])}, path)


def assert_whole(path, ids=True):
    found = read(path)
    np.testing.assert_array_equal(found.gaussian.mean, MU)
    np.testing.assert_array_equal(found.gaussian.scale.value, LOGVAR)
    assert found.ids == (list(range(ROWS)) if ids else None)
    return found


@pytest.fixture
def folder(tmp_path):
    """Parts in the partitions of Hive, one of them without rows, and what other programs leave beside them."""
    for i, rows in enumerate(SLICES):
        parquet(tmp_path / "run" / f"seed={i // 2}" / f"part-{i}.parquet", rows)
    (tmp_path / "run" / "_SUCCESS").touch()
    (tmp_path / "run" / ".part-0.parquet.crc").touch()
    (tmp_path / "run" / "_metadata.parquet").touch()
    (tmp_path / "run" / "README.md").touch()
    return tmp_path / "run"


def test_a_folder_of_parts_is_one_model(folder):
    assert assert_whole(folder).name == "run"
    column = open_dataset(folder, "posteriors")["mu"]
    assert tuple(column.breaks) == (0, 5, *range(7, 33, 5), *range(33, 60, 5))
    assert column.place(40) == "seed=1/part-3.parquet, row group 1, row 7"
    assert column.place(6) == "seed=0/part-0.parquet, row group 1, row 6"
    again = pickle.loads(pickle.dumps(column))
    np.testing.assert_array_equal(np.concatenate(list(again.batches(3, 59, 4))), MU[3:59])


@pytest.mark.parametrize(
    ("write", "suffix"), [(npz, ".npz"), (tensors, ".safetensors"), (pt, ".pt"), (parquet, ".parquet")]
)
def test_files_of_every_kind_are_read_one_after_the_other(write, suffix, tmp_path):
    # By the values of the numbers: 9 comes before 10.
    for i, rows in zip((8, 9, 10, 11), SLICES, strict=True):
        write(tmp_path / f"part.{i}{suffix}", rows)
    has_ids = write in (npz, parquet)
    assert_whole(tmp_path, has_ids)
    assert assert_whole(f"{tmp_path}/part.*{suffix}", has_ids).name == "part"
    assert assert_whole(f"{tmp_path}/*{suffix}", has_ids).name == tmp_path.name
    assert_whole(f"{tmp_path}/*.[0-9]*", has_ids)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, ROWS), max_size=6), st.integers(0, ROWS), st.integers(0, ROWS), st.integers(1, 70))
def test_wherever_the_files_and_the_batches_are_cut(tmp_path_factory, cuts, a, b, size):
    path = tmp_path_factory.mktemp("cut")
    edges = [0, *sorted(cuts), ROWS]
    for i, (start, stop) in enumerate(itertools.pairwise(edges)):
        parquet(path / f"{i}.parquet", slice(start, stop))
    columns = open_dataset(path, "posteriors")
    first, last = min(a, b), max(a, b)
    for name, want in (("mu", MU), ("id", np.arange(ROWS))):
        assert columns[name].shape == want.shape
        batches = list(columns[name].batches(first, last, size))
        assert [len(x) for x in batches] == [min(size, last - i) for i in range(first, last, size)]
        if batches:
            np.testing.assert_array_equal(np.concatenate(batches), want[first:last])


def shard(path, index=True):
    names = [f"model-{i:05}-of-00003.safetensors" for i in (1, 2, 3)]
    for name, rows in zip(names, (slice(0, 7), slice(7, 33), slice(33, 60)), strict=True):
        tensors(path / name, rows)
    if index:
        (path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {str(n): n for n in names}}))
    return names


def test_shards_with_the_same_tensors_are_rows_and_with_others_are_columns(tmp_path):
    names = shard(tmp_path)
    assert_whole(tmp_path, ids=False)
    assert assert_whole(tmp_path / "model.safetensors.index.json", ids=False).name == "model"
    (tmp_path / names[1]).unlink()
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        with pytest.raises(PosteriorFileError, match=r"model-00002-of-00003\.safetensors"):
            read(path)
    apart = tmp_path / "apart"
    apart.mkdir()
    safetensors.torch.save_file({"mu": torch.from_numpy(MU)}, apart / "model-00001-of-00002.safetensors")
    safetensors.torch.save_file({"logvar": torch.from_numpy(LOGVAR)}, apart / "model-00002-of-00002.safetensors")
    assert_whole(apart, ids=False)


def other(name):
    """The second part of a data set, which differs from the first."""
    rows = slice(7, 12)
    return {
        "a column more": {"std": np.zeros(5)},
        "another width": {"mu": [[1.0, 2.0]] * 5},
        "another kind": {"id": [str(i) for i in range(5)]},
        "integers": {"mu": [[1, 2, 3]] * 5},
    }[name], rows


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("a column more", "1.parquet has also 'std', unlike 0.parquet"),
        ("another width", "column 'mu' differs between 0.parquet and 1.parquet: a row has the shape (3,) in one, (2,)"),
        ("another kind", "column 'id' differs between 0.parquet and 1.parquet: it holds integers in one, text in"),
        ("integers", "column 'mu' differs between 0.parquet and 1.parquet: it holds floating-point numbers in one"),
    ],
)
def test_files_that_differ_are_named_with_what_differs(name, says, tmp_path):
    parquet(tmp_path / "0.parquet", slice(0, 7))
    changed, rows = other(name)
    table = {"id": np.arange(5), "mu": list(MU[rows]), "logvar": list(LOGVAR[rows]), **changed}
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "1.parquet")
    with pytest.raises(PosteriorFileError, match=re.escape(says)) as error:
        read(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: ")


def test_floats_of_two_widths_are_read_as_the_wider(tmp_path):
    npz(tmp_path / "0.npz", slice(0, 30))
    np.savez(tmp_path / "1.npz", mu=MU[30:].astype(np.float64), logvar=LOGVAR[30:], id=np.arange(30, 60))
    columns = open_dataset(tmp_path, "posteriors")
    assert {x.dtype for x in columns["mu"].batches(0, 60, 7)} == {np.dtype("f8")}
    assert {x.dtype for x in columns["logvar"].batches(0, 60, 7)} == {np.dtype("f4")}


def test_an_error_in_a_part_names_the_part_and_the_row(tmp_path):
    for i, rows in enumerate(SLICES):
        parquet(tmp_path / f"{i}.parquet", rows)
    table = {"id": [ROWS, ROWS + 1], "mu": [[1.0, 2.0, 3.0], [1.0, None, 2.0]], "logvar": [[1.0] * 3] * 2}
    pyarrow.parquet.write_table(pa.table(table), tmp_path / "9.parquet")
    with pytest.raises(PosteriorFileError) as error:
        read(tmp_path)
    assert str(error.value).startswith(
        f"{tmp_path}: column 'mu', 9.parquet, row 1, dimension 1: null is not a valid mean"
    )


def test_what_is_no_data_set_is_said(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(PosteriorFileError, match=r"empty: is a folder without files of a known kind \(\.arrow"):
        open_posteriors(tmp_path / "empty")
    with pytest.raises(PosteriorFileError, match=r"x\*\.parquet: no file matches"):
        open_posteriors(tmp_path / "x*.parquet")
    npz(tmp_path / "a.npz", SLICES[0])
    pt(tmp_path / "b.pt", SLICES[0])
    with pytest.raises(
        PosteriorFileError, match=r"several kinds \(1 of \.npz, 1 of \.pt\). Choose one, as in '\*\.npz'"
    ):
        open_posteriors(tmp_path)
    (tmp_path / "a.parquet").mkdir()
    with pytest.raises(PosteriorFileError, match=r"a\.parquet: is a folder without"):
        open_posteriors(tmp_path / "a.parquet")
    with pytest.raises(PosteriorFileError, match="no such file"):
        open_posteriors(tmp_path / "nowhere")


def test_links_that_lead_back_end(folder):
    os.symlink(folder, folder / "seed=0" / "again")
    os.symlink("/", folder / "seed=1" / "part-9.parquet.link")
    os.symlink(folder / "seed=1" / "loop", folder / "seed=1" / "loop")
    (folder / "seed=1" / "part-9.parquet.link").unlink()
    assert_whole(folder)


def test_a_name_with_the_signs_of_a_pattern_is_a_file(tmp_path):
    npz(tmp_path / "run[1]*.npz", slice(0, ROWS))
    assert assert_whole(tmp_path / "run[1]*.npz").name == "run[1]*"


@pytest.fixture
def elsewhere():
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("write", "suffix"), [(npz, ".npz"), (tensors, ".safetensors"), (pt, ".pt"), (parquet, ".parquet")]
)
def test_files_elsewhere_are_read_where_they_are(write, suffix, tmp_path, elsewhere):
    for i, rows in enumerate(SLICES):
        write(tmp_path / f"part-{i}{suffix}", rows)
        elsewhere.pipe(f"/bucket/run/part-{i}{suffix}", (tmp_path / f"part-{i}{suffix}").read_bytes())
    has_ids = write in (npz, parquet)
    assert assert_whole("memory://bucket/run", has_ids).name == "run"
    assert_whole(f"memory://bucket/run/*{suffix}", has_ids)
    found = read(f"memory://bucket/run/part-0{suffix}")
    np.testing.assert_array_equal(found.gaussian.mean, MU[:7])
    assert found.name == "part-0"
    with pytest.raises(PosteriorFileError, match=r"memory://bucket/nothing\.npz: no such file"):
        read("memory://bucket/nothing.npz")


def test_an_address_that_cannot_be_opened_is_said(tmp_path):
    with pytest.raises(PosteriorFileError, match=r"nosuch://a/b\.npz: cannot be opened") as error:
        read("nosuch://a/b.npz")
    assert "\n" not in str(error.value)
    npz(tmp_path / "a.npz", slice(0, ROWS))
    assert_whole(f"file://{tmp_path}/a.npz")
    assert place(tmp_path) == tmp_path


def save_array(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    else:
        torch.save(torch.from_numpy(array), path)


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_pairs_and_folders_of_arrays_are_sliced(suffix, tmp_path):
    save_array(tmp_path / f"mu{suffix}", MU)
    save_array(tmp_path / f"logvar{suffix}", LOGVAR)
    assert_whole(tmp_path, ids=False)
    assert assert_whole(f"{tmp_path}/mu{suffix},{tmp_path}/logvar{suffix}", ids=False).name == "mu"
    assert_whole(f"{tmp_path}/*{suffix}", ids=False)
    with pytest.raises(
        PosteriorFileError, match=rf"mu\{suffix}: holds one array, and a model needs two.*mean\{suffix}"
    ):
        read(tmp_path / f"mu{suffix}")


@pytest.mark.parametrize("suffix", [".npy", ".pt"])
def test_moments_may_be_the_only_array(suffix, tmp_path):
    save_array(tmp_path / f"moments{suffix}", np.concatenate([MU, LOGVAR], 1))
    assert_whole(tmp_path / f"moments{suffix}", ids=False)


def test_a_pair_is_of_arrays(tmp_path):
    npz(tmp_path / "a.npz", slice(0, ROWS))
    with pytest.raises(
        PosteriorFileError, match=r"a\.npz holds 'mu', 'logvar', 'id'\. Give two models as two arguments"
    ):
        read(f"{tmp_path}/a.npz,{tmp_path}/a.npz")


@pytest.mark.parametrize("first", [True, False])
def test_a_column_that_is_not_read_may_be_of_one_file_alone(first, tmp_path):
    for part, rows in enumerate((slice(0, 7), slice(7, 12))):
        more = {"label": [["a"] * 7, ["b"] * 5][part]} if (part == 0) == first else {}
        table = {"id": np.arange(12)[rows], "mu": list(MU[rows]), "logvar": list(LOGVAR[rows]), **more}
        pyarrow.parquet.write_table(pa.table(table), tmp_path / f"{part}.parquet")
    np.testing.assert_array_equal(read(tmp_path).gaussian.mean, MU[:12])
    has, lacks = ("0.parquet", "1.parquet") if first else ("1.parquet", "0.parquet")
    with pytest.raises(
        PosteriorFileError, match=f"{lacks} lacks 'label', unlike {has}. All need the columns that are read"
    ):
        Reading(ids=("label",)).models([tmp_path])
