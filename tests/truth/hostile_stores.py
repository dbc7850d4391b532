"""More of :mod:`truth.hostile`: HDF5, AnnData, Zarr, Arrow, and data in parts."""

import json
import os
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import zarr

from truth.hostile import KINDS, LOGVAR, MU, kind, lists, write_good

__all__ = ["KINDS"]

# Files of HDF5 and AnnData.


def _hdf5(name, says, write, *, suffix=".h5", command=("kl",)):
    @kind(f"hdf5: {name}", says)
    def _make():
        with h5py.File(f"a{suffix}", "w") as file:
            write(file)
        write_good("b.npz")
        return [*command, f"a{suffix}", "b.npz"] if command == ("kl",) else [*command, f"a{suffix}"]


def _both(shape, **options):
    """Data sets of this shape, which HDF5 stores when they are written, and these are not."""

    def write(file):
        for name in ("mu", "logvar"):
            file.create_dataset(name, shape, "f4", **options)

    return write


def _held(**columns):
    def write(file):
        for name, x in {"mu": MU, "logvar": LOGVAR, **columns}.items():
            if isinstance(x, tuple):
                file.create_dataset(name, data=x[0], dtype=x[1])
            else:
                file[name] = x

    return write


def _cycle(file):
    _held()(file)
    file.create_group("g")["up"] = file["/"]


def _cells(*, obs=True, **arrays):
    def write(file):
        file.attrs["encoding-type"] = "anndata"
        if obs:
            file.create_group("obs").attrs["_index"] = "names"
        for path, x in arrays.items():
            file[path.replace("__", "/")] = x

    return write


_BYTES = np.array([bytes([200, i + 1]) for i in range(6)], object)
_RAGGED = np.array([np.ones(i + 1, np.float32) for i in range(6)], object)
_hdf5("10^14 rows", "has 100000000000000 rows", _both((10**14, 3)))
_hdf5("10^14 rows in chunks", "has 100000000000000 rows", _both((10**14, 3), chunks=(1000, 3)))
_hdf5("rows of 10^14 numbers", "needs about", _both((6, 10**14)))
_hdf5("10^14 samples", "needs about", lambda f: f.create_dataset("x", (10**14, 3), "f4"), command=("estimate",))
_hdf5("covariances of 10^13 numbers", "needs about", lambda f: (
    f.create_dataset("mu", (10**11, 9), "f4"), f.create_dataset("cov", (10**11, 9, 9), "f4")
))  # fmt: skip
_hdf5("no rows", "no rows", _both((0, 3), maxshape=(None, 3)))
_hdf5("no dimensions", "no rows", _both(()))
_hdf5("no shape", "no rows", _held(mu=h5py.Empty("f4")))
_hdf5("text", "expected numbers", _held(mu=np.array(["a"] * 6, object)))
_hdf5("lists of different lengths", "expected numbers", _held(mu=(_RAGGED, h5py.vlen_dtype(np.float32))))
_hdf5("fields", "expected numbers", _held(mu=np.zeros(6, [("a", "<f4")])))
_hdf5("ids that are not Unicode", "damaged.*utf-8", _held(id=(_BYTES, h5py.string_dtype())))
_hdf5("ids of fixed length that are not ASCII", "damaged.*ascii", _held(id=_BYTES.astype("S2")))
_hdf5("a loop of links", "no posteriors found", lambda f: f.update(mu=h5py.SoftLink("/mu2"), mu2=h5py.SoftLink("/mu")))
_hdf5("a group that contains itself", None, _cycle)
_hdf5("numbers of another file", "damaged", lambda f: (
    f.create_dataset("mu", (6, 3), "f4", external=[("nowhere", 0, 72)]), f.create_dataset("logvar", data=LOGVAR)
))  # fmt: skip
_hdf5("AnnData without observations", "damaged", _cells(obs=False, obsm__mu=MU, obsm__logvar=LOGVAR), suffix=".h5ad")
_hdf5("AnnData without latents", "no posteriors found", _cells(X=MU), suffix=".h5ad")


# Stores of Zarr.


def _zarr(name, says, change=None, **columns):
    @kind(f"zarr: {name}", says)
    def _make():
        group = zarr.open_group("a.zarr", mode="w")
        given = {"mu": {"data": MU, "chunks": (2, 3)}, "logvar": {"data": LOGVAR, "chunks": (2, 3)}, **columns}
        for column, options in given.items():
            group.create_array(column, **options)
        if change:
            change(Path("a.zarr"))
        write_good("b.npz")
        return ["kl", "a.zarr", "b.npz"]


def _stated(shape, chunks):
    return {name: {"shape": shape, "chunks": chunks, "dtype": "f4"} for name in ("mu", "logvar")}


def _header(**fields):
    def change(store):
        path = store / "mu" / "zarr.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | fields))

    return change


def _cut(store):
    chunk = store / "mu" / "c" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3])


class _Pickled:
    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def _pickle_of_version_2(store):
    """Arrays of objects, which a store of version 2 may hold pickled."""
    shutil.rmtree(store)
    fields = {"shape": [6], "chunks": [6], "dtype": "|O", "fill_value": None, "order": "C", "compressor": None}
    fields |= {"zarr_format": 2, "filters": [{"id": "pickle", "protocol": 5}]}
    for name in ("mu", "logvar"):
        (store / name).mkdir(parents=True)
        (store / name / ".zarray").write_text(json.dumps(fields))
        (store / name / "0").write_bytes(pickle.dumps(_Pickled()))
    (store / ".zgroup").write_text('{"zarr_format": 2}')


_zarr("10^14 rows", "has 100000000000000 rows", **_stated((10**14, 3), (1000, 3)))
_zarr("chunks of 10^13 rows", "needs about", **_stated((10**14, 3), (10**13, 3)))
_zarr("rows of 10^14 numbers", "needs about", **_stated((6, 10**14), (6, 1000)))
_zarr("no rows", "no rows", **_stated((0, 3), (1, 3)))
_zarr("a chunk that is cut off", "damaged", _cut)
_zarr("a negative shape", "damaged", _header(shape=[-6, 3]))
_zarr("an unknown codec", "damaged", _header(codecs=[{"name": "nonsense"}]))
_zarr("no header of an array", r"no posteriors found.*'logvar' \(6, 3\)", lambda s: (s / "mu" / "zarr.json").unlink())
_zarr("no header", "damaged", lambda store: (store / "zarr.json").unlink())
_zarr("a group that contains itself", "symbolic links", lambda store: os.symlink(".", store / "g"))
_zarr("pickled objects", "damaged", _pickle_of_version_2)


# Files of Arrow.


def _arrow(name, says, **columns):
    @kind(f"arrow: {name}", says)
    def _make():
        table = pa.table({"mu": lists(MU), "logvar": lists(LOGVAR), **columns})
        with pa.ipc.new_file("a.arrow", table.schema) as writer:
            writer.write_table(table, max_chunksize=2)
        write_good("b.npz")
        return ["kl", "a.arrow", "b.npz"]


def _arrow_bytes(name, says, data):
    @kind(f"arrow: {name}", says)
    def _make():
        Path("a.arrow").write_bytes(data)
        write_good("b.npz")
        return ["kl", "a.arrow", "b.npz"]


@kind("arrow: ids beyond their characters", "damaged")
def _beyond():
    table = pa.table({"mu": lists(MU), "logvar": lists(LOGVAR), "id": [f"input {i}" for i in range(6)]})
    with pa.ipc.new_file("a.arrow", table.schema) as writer:
        writer.write_table(table)
    # Where each id of seven characters begins, and where the last ends.
    offsets, data = np.arange(0, 49, 7, dtype=np.int32), Path("a.arrow").read_bytes()
    at = data.index(offsets.tobytes())
    offsets[-1] = 2**31 - 1
    Path("a.arrow").write_bytes(data[:at] + offsets.tobytes() + data[at + offsets.nbytes :])
    write_good("b.npz")
    return ["kl", "a.arrow", "b.npz"]


_arrow("lists of different lengths", "row 5: 2 numbers where row 0 has 3", mu=pa.array([[1.0] * 3] * 5 + [[1.0] * 2]))
_arrow("other lengths in another batch", "row 4: 4 numbers where", mu=pa.array([[1.0] * 3] * 4 + [[1.0] * 4] * 2))
_arrow("a list is missing", "row 4, dimension 0: null", mu=pa.array([[1.0] * 3] * 4 + [None, [1.0] * 3]))
_arrow("a number is missing", "row 4, dimension 1: null", mu=pa.array([[1.0] * 3] * 4 + [[1.0, None, 1.0]] * 2))
_arrow("text", "expected numbers", mu=pa.array(["a"] * 6))
_arrow_bytes("nothing", "damaged", b"")
_arrow_bytes("a beginning alone", "damaged", b"ARROW1\0\0")
_arrow_bytes("a header of 2 GB", "damaged", b"\xff\xff\xff\xff\xff\xff\xff\x7f" + bytes(100))
_arrow_bytes("Feather of version 1", "version 1", b"FEA1" + bytes(100))


# Tables of text, and folders of parts.


@kind("csv: a terabyte without an end of line", "has a line of 64 MiB or more")
def _hole():
    with open("a.csv", "wb") as file:
        file.write(b"a,b\n1,2\n")
        file.truncate(10**12)  # A hole, which takes no space.
    return ["estimate", "a.csv"]


def _parts(name, says, last):
    """A folder of three parts, of which the last is odd."""

    @kind(f"parts: {name}", says)
    def _make():
        os.mkdir("run")
        for i in range(2):
            pyarrow.parquet.write_table(pa.table({"mu": lists(MU), "logvar": lists(LOGVAR)}), f"run/part-{i}.parquet")
        last(Path("run/part-2.parquet"))
        np.savez("b.npz", mu=np.zeros((18, 3)), logvar=np.zeros((18, 3)))
        return ["kl", "run", "b.npz"]


def _part(**columns):
    return lambda path: pyarrow.parquet.write_table(pa.table(columns), path)


_parts("one lacks a column", "part-2.parquet lacks 'logvar'", _part(mu=lists(MU)))
_parts("one has a column that is not read", None, _part(mu=lists(MU), logvar=lists(MU), x=lists(MU)))
_parts("one has other lengths", "differs between part-0", _part(mu=lists(MU[:, :2]), logvar=lists(MU[:, :2])))
_parts("one has text", "a row has the shape", _part(mu=pa.array(["a"] * 6), logvar=lists(MU)))
_parts("one is cut off", "part-2.parquet: .*damaged", lambda path: path.write_bytes(b"PAR1" + bytes(50)))
_parts("one is a pipe", "part-2.parquet: is no regular file", os.mkfifo)
_parts("one is a link to nothing", "part-2.parquet: no such file", lambda path: path.symlink_to("nowhere"))
_parts("one is of another kind", "several kinds", lambda path: np.savez(path.with_suffix(".npz"), mu=MU, logvar=LOGVAR))
_parts("one has no rows", "has 12 rows", _part(mu=lists(MU)[:0], logvar=lists(MU)[:0]))
_parts("a folder leads to itself", "has 12 rows", lambda path: os.symlink(".", path.with_name("again")))
