"""Every format gives any rows of its columns, as they were written, without the others."""

import pickle
import sys
import threading
import zipfile

import anndata
import h5py
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
import safetensors.torch
import torch
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from truth.reading import read, whole

from kullback import PosteriorFileError
from kullback.io.formats.registry import open_columns
from kullback.io.missing import is_null
from kullback.io.posteriors import open_posteriors

RNG = np.random.default_rng(3)
ROWS = 101
ARRAYS = {
    "mu": RNG.standard_normal((ROWS, 5)).astype(np.float32),
    "logvar": RNG.standard_normal((ROWS, 5)),
    "std": RNG.uniform(1, 2, ROWS),
    "id": np.arange(ROWS) + 2**60,
    "names": np.array([f"image {i}" for i in range(ROWS)]),
    "images": RNG.integers(0, 255, (ROWS, 2, 3, 4)).astype(np.uint8),
}


def numbers(*names):
    return {name: ARRAYS[name] for name in names}


def npz(path):
    np.savez(path, **ARRAYS)


def compressed(path):
    np.savez_compressed(path, **ARRAYS)


def fortran(path):
    np.savez(path, **{k: np.asfortranarray(v) for k, v in ARRAYS.items()})


def big_endian(path):
    np.savez(path, mu=ARRAYS["mu"].astype(">f4"), id=ARRAYS["id"].astype(">i8"))


def tensors(*names):
    return {k: torch.from_numpy(v) for k, v in numbers(*names).items()}


def table(kind):
    def lists(x):
        if x.ndim == 1:
            return pa.array(x)
        inner = lists(x.reshape(-1, *x.shape[2:]))
        if kind == "fixed":
            return pa.FixedSizeListArray.from_arrays(inner, x.shape[1])
        if kind == "tensor":
            return pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(x))
        make = pa.LargeListArray if kind == "large" else pa.ListArray
        return make.from_arrays(np.arange(0, x.shape[0] * x.shape[1] + 1, x.shape[1]), inner)

    return pa.table({k: lists(v) for k, v in ARRAYS.items()})


def parquet(kind, rows):
    return lambda path: pyarrow.parquet.write_table(table(kind), path, row_group_size=rows)


def arrow(kind, rows, compression=None, stream=False):
    def write(path):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with (pa.ipc.new_stream if stream else pa.ipc.new_file)(path, table(kind).schema, options=options) as file:
            file.write_table(table(kind), max_chunksize=rows)

    return write


def feather(path):
    pyarrow.feather.write_feather(table("list"), path)


def csv(path):
    pandas.DataFrame({k: v for k, v in ARRAYS.items() if v.ndim == 1}).to_csv(path, index=False)


def hdf5(chunks):
    def write(path):
        with h5py.File(path, "w") as file:
            for name, x in ARRAYS.items():
                if name == "names":
                    file.create_dataset(name, data=x.astype(object), dtype=h5py.string_dtype())
                else:
                    file.create_dataset(name, data=x, chunks=chunks and (chunks, *x.shape[1:]))

    return write


def zarr_store(version, chunks):
    def write(path):
        root = zarr.open_group(path, mode="w", zarr_format=version)
        for name, x in ARRAYS.items():
            if name != "names":
                root.create_array(name, data=x, chunks=(chunks, *x.shape[1:]))

    return write


WRITERS = {
    "npz": (".npz", npz),
    "npz, compressed": (".npz", compressed),
    "npz, columns first": (".npz", fortran),
    "npz, big-endian": (".npz", big_endian),
    "safetensors": (".safetensors", lambda p: safetensors.torch.save_file(tensors("mu", "logvar", "std", "id"), p)),
    "pt": (".pt", lambda p: torch.save(tensors("mu", "logvar", "std", "id", "images"), p)),
    "pt, old": (".pth", lambda p: torch.save(tensors("mu", "id"), p, _use_new_zipfile_serialization=False)),
    "parquet, lists": (".parquet", parquet("list", 13)),
    "parquet, large lists": (".parquet", parquet("large", 64)),
    "parquet, fixed": (".parquet", parquet("fixed", 1000)),
    "arrow": (".arrow", arrow("list", 17)),
    "arrow, fixed, compressed": (".ipc", arrow("fixed", 40, "lz4")),
    "arrow, a stream": (".arrow", arrow("large", 30, stream=True)),
    "feather": (".feather", feather),
    "csv": (".csv", csv),
    "hdf5": (".h5", hdf5(None)),
    "hdf5, chunks": (".hdf5", hdf5(16)),
    "zarr 3": (".zarr", zarr_store(3, 16)),
    "zarr 2": (".zarr", zarr_store(2, 1000)),
    "parquet, tensors": (".parquet", parquet("tensor", 50)),
}


@pytest.fixture(scope="module", params=WRITERS)
def columns(request, tmp_path_factory):
    suffix, write = WRITERS[request.param]
    path = tmp_path_factory.mktemp("written") / f"model{suffix}"
    write(path)
    return open_columns(path)


def assert_rows(found, name, start, stop):
    want = ARRAYS[name][start:stop]
    found = found.numpy() if isinstance(found, torch.Tensor) else found
    assert found.shape == want.shape
    assert (found == want).all()
    if want.dtype.kind in "fiu":
        assert found.dtype == want.dtype or found.dtype == want.dtype.newbyteorder(">")


def assert_column(column, name, cuts=((0, ROWS, 7), (0, ROWS, 1000), (3, 3, 2), (17, 64, 1), (50, ROWS, 13))):
    assert column.shape == ARRAYS[name].shape
    assert len(column) == ROWS
    assert_rows(column(), name, 0, ROWS)
    for start, stop, size in cuts:
        batches = list(column.batches(start, stop, size))
        assert [len(batch) for batch in batches[:-1]] == [size] * max(0, len(batches) - 1)
        assert sum(map(len, batches)) == stop - start
        row = start
        for batch in batches:
            assert_rows(batch, name, row, row + len(batch))
            row += len(batch)


def test_any_rows_are_read_as_they_were_written(columns):
    for name, column in columns.items():
        assert_column(column, name)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, ROWS), st.integers(0, ROWS), st.integers(1, ROWS + 5))
def test_wherever_they_are_cut(columns, a, b, size):
    for name, column in columns.items():
        if name in ("mu", "id", "names"):
            assert_column(column, name, [(min(a, b), max(a, b), size)])


def test_a_column_can_be_sent_to_another_process_and_read_by_several_threads(columns):
    name = "std" if "std" in columns else "mu"
    column = pickle.loads(pickle.dumps(columns[name]))
    assert len(pickle.dumps(column)) < 2000
    failed = []

    def read():
        try:
            for _ in range(5):
                assert_column(column, name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_reading_begins_at_every_break(columns):
    for name, column in columns.items():
        assert column.breaks[0] == 0
        assert list(column.breaks) == sorted(set(column.breaks))
        for row in list(column.breaks)[:9]:
            assert_rows(next(column.batches(row, ROWS, 4)), name, row, min(row + 4, ROWS))


def test_breaks_are_row_groups_and_places_name_them(tmp_path):
    parquet("list", 40)(tmp_path / "a.parquet")
    column = open_columns(tmp_path / "a.parquet")["mu"]
    assert tuple(column.breaks) == (0, 40, 80)
    assert column.place(85) == "row group 2, row 85"
    npz(tmp_path / "a.npz")
    column = open_columns(tmp_path / "a.npz")["mu"]
    assert len(column.breaks) == ROWS
    assert column.place(85) == "row 85"


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_read_by_rows(order, tmp_path):
    for name in ("mu", "images", "id"):
        np.save(tmp_path / "a.npy", np.asarray(ARRAYS[name], order=order))
        assert_column(open_columns(tmp_path / "a.npy")["array"], name)


def test_bfloat16_is_kept_in_slices(tmp_path):
    x = torch.randn(9, 3).bfloat16()
    safetensors.torch.save_file({"mu": x}, tmp_path / "a.safetensors", metadata={"format": "pt"})
    [column] = open_columns(tmp_path / "a.safetensors").values()
    assert torch.equal(torch.cat(list(column.batches(2, 9, 2))), x[2:])


def test_the_dtypes_of_safetensors_are_those_that_it_writes(tmp_path):
    kinds = "float64 float32 float16 bfloat16 float8_e4m3fn float8_e5m2 int64 int32 int16 int8 uint8 bool".split()
    written = {kind: torch.arange(6).reshape(3, 2).to(getattr(torch, kind)) for kind in kinds}
    safetensors.torch.save_file(written, tmp_path / "a.safetensors")
    found = open_columns(tmp_path / "a.safetensors")
    for kind, x in written.items():
        assert found[kind]().dtype == x.dtype
        assert torch.equal(found[kind]().double(), x.double())


def damaged_zip(path):
    np.savez(path, mu=np.tile(ARRAYS["mu"], (50, 1)))
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("mu.npy").header_offset + 90_000
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def cut_off(path):
    np.save(path, ARRAYS["mu"])
    path.write_bytes(path.read_bytes()[:-1])


def ragged(path):
    pyarrow.parquet.write_table(pa.table({"mu": [[1.0, 2.0]] * 25 + [[1.0]] * 5}), path, row_group_size=10)


def changed_page(path):
    table = pa.table({"mu": np.arange(4096.0)})
    pyarrow.parquet.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    with path.open("r+b") as file:
        file.seek(16_000)
        byte = file.read(1)
        file.seek(16_000)
        file.write(bytes([byte[0] ^ 1]))


def tensors_at(path, end):
    header = b'{"mu":{"dtype":"F32","shape":[4],"data_offsets":[0,%d]}}' % end
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(9))


WRONG = {
    "damaged.npz": (damaged_zip, "its checksum is another"),
    "short.npy": (cut_off, "ends early"),
    "ragged.parquet": (ragged, "column 'mu', row group 2, row 25: 1 numbers where row 0 has 2"),
    "changed.parquet": (changed_page, "CRC checksum verification failed"),
    "outside.safetensors": (lambda p: tensors_at(p, 16), "lies outside"),
    "bytes.safetensors": (lambda p: tensors_at(p, 8), "has 8 bytes for the shape"),
    "long.safetensors": (lambda p: p.write_bytes((2**62).to_bytes(8, "little") + b"{}"), "no header"),
    "twice.parquet": (
        lambda p: pyarrow.parquet.write_table(pa.table([[1], [2]], names=["mu", "mu"]), p),
        "two columns 'mu'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_found_in_batches_and_named(name, tmp_path):
    write, says = WRONG[name]
    write(tmp_path / name)
    with pytest.raises(PosteriorFileError, match=says) as error:
        [list(c.batches(0, len(c), 4)) for c in open_columns(tmp_path / name).values()]
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(error.value)


def test_csv_is_read_in_blocks_whose_types_hold_all_of_them(tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.formats.csv._BLOCK", 50)
    rows = 60
    written = {
        "number": [1, 2, 3] * 10 + [0.5, -1.0, 2.0] * 10,
        "id": [f"{i:03}" for i in range(59)] + ["x"],
        "count": list(range(2**53, 2**53 + rows)),
    }
    pandas.DataFrame(written).to_csv(tmp_path / "a.csv", index=False)
    found = open_columns(tmp_path / "a.csv")
    assert len(found["number"].breaks) > 5
    for name, want in written.items():
        assert found[name]().tolist() == want
        assert [x for batch in found[name].batches(7, 55, 4) for x in batch] == want[7:55]
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 50 + "1,2,3\n")
    with pytest.raises(PosteriorFileError, match=r"in the rows from \d+ on: .*Expected 2 columns, got 3"):
        open_columns(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("a,b\n" + "1,2\n" * 50 + "1,\n")
    column = open_columns(tmp_path / "a.csv")["b"]()
    assert column[:50].tolist() == [2.0] * 50
    assert is_null(column[50].item())


@pytest.mark.parametrize("text", ["{} more", "{}\n", "\n{}", "{}\r\nmore", '"{},\n', '{}""\n"', '"\n"{}'])
@pytest.mark.parametrize("block", [1, 7, 16, 45, 2**23])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_line_break_between_quotes_is_no_end_of_a_row(text, block, delimiter, tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.formats.csv._BLOCK", block)
    ids = [text.format(i) for i in range(30)]
    name = "the id\n" if text == "{} more" else "id"
    table = pandas.DataFrame({"number": np.arange(30) + 0.5, name: ids, "mu": range(30)})
    table.to_csv(tmp_path / "a.csv", index=False, sep=delimiter, lineterminator="\n")
    found = open_columns(tmp_path / "a.csv")
    assert found[name]().tolist() == ids
    assert found["mu"]().tolist() == list(range(30))
    assert len(found["mu"].breaks) > 5 or block > 1000


def test_quotes_inside_a_cell_do_not_begin_one(tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.formats.csv._BLOCK", 20)
    (tmp_path / "a.csv").write_text("id,mu\n" + "".join(f'{i}" wide,{i}\n' for i in range(30)))
    found = open_columns(tmp_path / "a.csv")
    assert found["id"]().tolist() == [f'{i}" wide' for i in range(30)]
    assert len(found["mu"].breaks) > 5


def test_a_quote_without_an_end_is_refused_in_bounded_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("kullback.io.formats.csv._BLOCK", 20)
    monkeypatch.setattr("kullback.io.formats.csv._LONGEST", 100)
    (tmp_path / "a.csv").write_text('id,mu\n"0,1\n' + "1,2\n" * 100)
    with pytest.raises(PosteriorFileError, match=r"a\.csv: has a quote with no other in the next"):
        open_columns(tmp_path / "a.csv")


def annotated():
    return anndata.AnnData(
        X=np.zeros((ROWS, 2)),
        var=pandas.DataFrame(index=pandas.Index(["a", "b"], dtype=object)),
        obs=pandas.DataFrame(index=pandas.Index([f"cell {i}" for i in range(ROWS)], dtype=object)),
        obsm={"scvi_latent_qzm": ARRAYS["mu"], "scvi_latent_qzv": np.exp(ARRAYS["logvar"]), "other": ARRAYS["mu"]},
    )


@pytest.mark.parametrize("suffix", [".h5ad", ".zarr"])
def test_the_latents_of_scvi_tools_are_means_and_variances(suffix, tmp_path):
    path = tmp_path / f"cells{suffix}"
    (annotated().write_h5ad if suffix == ".h5ad" else annotated().write_zarr)(path)
    found = read(path)
    assert found.gaussian.scale.parameterization == "variance"
    np.testing.assert_array_equal(found.gaussian.mean, ARRAYS["mu"])
    np.testing.assert_array_equal(found.gaussian.variance, np.exp(ARRAYS["logvar"]))
    assert found.ids == [f"cell {i}" for i in range(ROWS)]


@pytest.mark.parametrize("kind", ["h5", "zarr"])
def test_groups_are_models(kind, tmp_path):
    path = tmp_path / f"two.{kind}"
    root = h5py.File(path, "w") if kind == "h5" else zarr.open_group(path, mode="w")
    for name in ("plain", "beta"):
        group = root.create_group(f"run/{name}")
        for column in ("mu", "logvar"):
            made = group.create_dataset if kind == "h5" else group.create_array
            made(column, data=ARRAYS[column])
    if kind == "h5":
        root.close()
    file = open_posteriors(path)
    assert sorted(file.models) == ["run/beta", "run/plain"]
    np.testing.assert_array_equal(whole(file.model("run/beta")).gaussian.mean, ARRAYS["mu"])


@pytest.mark.parametrize(("library", "suffix"), [("h5py", ".h5"), ("zarr", ".zarr")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(library, suffix, tmp_path, monkeypatch):
    path = tmp_path / f"a{suffix}"
    hdf5(None)(path) if library == "h5py" else zarr_store(3, 10)(path)
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PosteriorFileError, match=rf"needs the library {library}: pip install 'kullback\[") as error:
        open_columns(path)
    assert "\n" not in str(error.value)
