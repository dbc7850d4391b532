"""Where reading can begin, and the tasks that follow from it."""

import itertools
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import torch
import zarr

from kullback.io.formats.registry import open_columns
from kullback.io.joining import alone, joined
from kullback.io.posteriors import open_posteriors

ROWS = 240
X = np.random.default_rng(5).normal(size=(ROWS, 4))


def tasks(path, numbers):
    return alone(open_posteriors(path).model()).tasks(numbers)


def test_the_rows_of_several_files_are_not_listed(tmp_path):
    rows = 500_000
    for i in range(2):
        # One number stands for all, so that the files are small.
        torch.save(dict.fromkeys(("mu", "logvar"), torch.zeros(1).expand(rows, 1)), tmp_path / f"{i}.pt")
    found = alone(open_posteriors(tmp_path).model())
    tracemalloc.start()
    try:
        assert found.tasks(300_000) == [range(i, min(i + 300_000, 2 * rows)) for i in range(0, 2 * rows, 300_000)]
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_breaks_of_several_files_are_those_of_each(tmp_path):
    for name, rows in (("0", slice(0, 100)), ("1", slice(100, 110)), ("2", slice(110, ROWS))):
        compressed = np.savez_compressed if name == "2" else np.savez
        compressed(tmp_path / f"{name}.npz", mu=X[rows], logvar=X[rows])
    breaks = open_posteriors(tmp_path).columns["mu"].breaks
    assert list(breaks) == [*range(110), 110]
    assert (breaks[-1], breaks[100], list(breaks[98:111:4])) == (110, 100, [98, 102, 106, 110])
    assert 240 not in breaks
    with pytest.raises(IndexError):
        breaks[111]
    assert tasks(tmp_path, 160) == [range(0, 40), range(40, 80), range(80, ROWS)]


@pytest.mark.parametrize("suffix", [".npz", ".pt"])
@pytest.mark.parametrize("column", ["mu", "logvar"])
def test_a_column_that_is_read_whole_is_read_once(suffix, column, tmp_path, monkeypatch):
    path, columns = tmp_path / f"a{suffix}", {"mu": X, "logvar": X}
    columns[column] = np.asfortranarray(X)
    if suffix == ".npz":
        np.savez(path, **columns)
    else:
        tensors = {name: torch.from_numpy(X) for name in columns}
        torch.save(tensors, path, _use_new_zipfile_serialization=False)
    assert tasks(path, 40) == [range(ROWS)]


def test_tasks_begin_at_chunks(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    for name in ("mu", "logvar"):
        group.create_array(name, shape=X.shape, chunks=(30, 4), dtype="f8")[:] = X
    # Of 40 rows at least, that is, of two chunks.
    assert tasks(tmp_path / "a.zarr", 160) == [range(i, i + 60) for i in range(0, ROWS, 60)]


def test_tasks_begin_where_both_models_have_few_places(tmp_path):
    table = pa.table({"mu": list(X), "logvar": list(X)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=50)
    np.savez(tmp_path / "b.npz", mu=X, logvar=X)
    np.savez_compressed(tmp_path / "c.npz", mu=X, logvar=X)
    a, b, c = (open_posteriors(tmp_path / name).model() for name in ("a.parquet", "b.npz", "c.npz"))
    groups = [range(i, min(i + 50, ROWS)) for i in range(0, ROWS, 50)]
    for one, other in ((a, b), (b, a)):
        assert joined(one, other).tasks(40) == groups
    for one, other in itertools.permutations((a, b, c), 2):
        if c in (one, other):
            assert joined(one, other).tasks(40) == [range(ROWS)]


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
@pytest.mark.parametrize("column", ["id", "text", "mu"])
def test_the_last_row_of_a_chunk_is_reached_in_few_pieces(suffix, column, tmp_path):
    rows = 100_000
    mu = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 * rows)), 4)
    text = pa.array([f"row {i}" for i in range(rows)])
    table, path = pa.table({"id": np.arange(rows), "mu": mu, "text": text}), tmp_path / f"a{suffix}"
    if suffix == ".parquet":
        pyarrow.parquet.write_table(table, path, row_group_size=rows)
    else:
        pyarrow.feather.write_feather(table, path, chunksize=rows)
    stored = open_columns(path)[column].column
    pieces = [len(piece) for piece in stored.pieces(0, 1)]
    assert sum(pieces) == rows
    assert len(pieces) <= 5
    # And in no more memory than that takes.
    assert max(pieces) * 8 * (4 if column == "mu" else 1) <= 2**21
    [last] = stored.batches(rows - 1, rows, 1)
    assert last.tolist() == {"id": [rows - 1], "text": [f"row {rows - 1}"], "mu": [[0.0] * 4]}[column]


def test_a_piece_of_wide_rows_is_as_small_as_a_batch(tmp_path):
    wide = np.zeros((64, 50_000))
    pyarrow.parquet.write_table(pa.table({"mu": list(wide), "id": np.arange(64)}), tmp_path / "a.parquet")
    stored = open_columns(tmp_path / "a.parquet")["mu"].column
    assert max(len(piece) for piece in stored.pieces(0, 1)) <= 2
