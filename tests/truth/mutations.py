"""Real files of every format with bytes flipped, cut off and spliced, and what the command line says of them.

    python -m truth.mutations COUNT SEED

prints as JSON how many of so many mutations each outcome has, and every one with a defect: a traceback, an exit code
that is neither 0 nor 2, more than one line of error, more than a gigabyte of memory, or more than ten seconds.
"""

import collections
import faulthandler
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import safetensors.torch
import torch
import zarr
from click.testing import CliRunner

from kullback.cli.app import commands

_GIGABYTE = 2**30
_SECONDS = 10


def write_originals(folder):
    """A small file of each format, with ids where it can have them, and the arguments that read it, by its name."""
    rng = np.random.default_rng(0)
    mu, logvar = rng.standard_normal((2, 40, 5)).astype(np.float32)
    ids = np.array([f"input {i}" for i in range(40)])
    columns = {"mu": mu, "logvar": logvar}
    tensors = {name: torch.from_numpy(x) for name, x in columns.items()}
    table = pa.table({"id": ids, **{name: list(x) for name, x in columns.items()}})
    np.savez(folder / "good.npz", mu=mu + 1, logvar=logvar)
    np.savez(folder / "stored.npz", id=ids, **columns)
    np.savez_compressed(folder / "deflated.npz", id=ids, **columns)
    pyarrow.parquet.write_table(table, folder / "snappy.parquet", row_group_size=16)
    pyarrow.parquet.write_table(table, folder / "zstd.parquet", compression="zstd", version="1.0")
    pyarrow.parquet.write_table(table, folder / "plain.parquet", compression="none", use_dictionary=False)
    safetensors.torch.save_file(tensors, folder / "model.safetensors")
    torch.save(tensors, folder / "zip.pt")
    torch.save(tensors, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    np.save(folder / "a_logvar.npy", logvar)
    np.save(folder / "a_mu.npy", mu)
    np.savetxt(folder / "samples.csv", mu, delimiter=",", header="a,b,c,d,e", comments="")
    _write_more(folder, table, columns, ids)
    found = {path.name: ["kl", path.name, "good.npz"] for path in sorted(folder.iterdir()) if path.is_file()}
    del found["good.npz"]
    found["a_mu.npy"] = found["a_logvar.npy"] = ["kl", "a_mu.npy,a_logvar.npy", "good.npz"]
    # Of a store, each of its files is damaged by itself.
    stored = (path.relative_to(folder).as_posix() for path in sorted((folder / "store.zarr").rglob("*")))
    found |= {name: ["kl", "store.zarr", "good.npz"] for name in stored if Path(folder, name).is_file()}
    return found | {"samples.csv": ["estimate", "samples.csv"]}


def _write_more(folder, table, columns, ids):
    """Files of Arrow, HDF5, AnnData, Zarr, and a wide table of text."""
    for name, compression in (("plain.arrow", None), ("lz4.feather", "lz4"), ("zstd.ipc", "zstd")):
        options = pa.ipc.IpcWriteOptions(compression=compression)
        with pa.ipc.new_file(str(folder / name), table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=16)
    with pa.ipc.new_stream(str(folder / "stream.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=16)
    with h5py.File(folder / "chunks.h5", "w") as file:
        for name, x in columns.items():
            file.create_dataset(name, data=x, chunks=(16, 5), compression="gzip")
        file["id"] = ids.astype(object)
    with h5py.File(folder / "cells.h5ad", "w") as file:
        file.attrs["encoding-type"] = "anndata"
        file.create_group("obs").attrs["_index"] = "names"
        file["obs/names"] = ids.astype(object)
        for name, x in columns.items():
            file[f"obsm/{name}"] = x
    group = zarr.open_group(str(folder / "store.zarr"), mode="w")
    for name, x in columns.items():
        group.create_array(name, data=x, chunks=(16, 5))
    wide = [ids, *(x[:, i].astype(str) for x in columns.values() for i in range(x.shape[1]))]
    header = ["id", *(f"{name}_{i}" for name, x in columns.items() for i in range(x.shape[1]))]
    lines = [header, *zip(*wide, strict=True)]
    (folder / "wide.csv").write_text("".join(",".join(line) + "\n" for line in lines))


def mutated(data, rng, others):
    """The bytes of a file, damaged in one of the ways in which files are."""
    kind = rng.integers(6)
    at = int(rng.integers(len(data)))
    # Headers and footers say most: half of the damage is there.
    if rng.random() < 0.5:
        edge = min(400, len(data))
        at = int(rng.integers(edge)) if rng.random() < 0.5 else len(data) - 1 - int(rng.integers(edge))
    if kind == 0:
        flipped = bytearray(data)
        for place in (at, *rng.integers(len(data), size=int(rng.integers(8)))):
            flipped[place] ^= 1 << int(rng.integers(8))
        return bytes(flipped)
    if kind == 1:
        return data[:at]
    if kind == 2:
        other = others[int(rng.integers(len(others)))]
        return data[:at] + other[int(rng.integers(len(other))) :]
    if kind == 3:
        extreme = [b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, (2**40).to_bytes(8, "little"), b"999999999999"]
        chosen = extreme[int(rng.integers(len(extreme)))]
        return data[:at] + chosen + data[at + len(chosen) :]
    if kind == 4:
        size = int(rng.integers(1, 64))
        return data[:at] + data[at + size :]
    return data[:at] + rng.bytes(int(rng.integers(1, 64))) + data[at:]


def outcome(arguments):
    """What the command line makes of some arguments, in a word; a defect begins with "defect: "."""
    started = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = CliRunner().invoke(commands, arguments)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    lines = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return f"defect: {type(result.exception).__name__}: {str(result.exception)[:200]}"
    if time.perf_counter() - started > _SECONDS or grown > _GIGABYTE:
        return f"defect: {time.perf_counter() - started:.0f} s, {grown / 1e9:.1f} GB"
    if result.exit_code == 0:
        return "read"
    if result.exit_code != 2 or len(lines) != 1:
        return f"defect: exit code {result.exit_code} and {lines}"
    return "out of memory" if "memory" in lines[0] else "refused"


def run(count, seed):
    """The outcomes of so many mutations, and those with a defect."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        originals = write_originals(Path(folder))
        contents = {name: Path(name).read_bytes() for name in originals}
        for name, arguments in originals.items():
            assert outcome(arguments) == "read", name
        found, defects = collections.Counter(), []
        for i in range(count):
            name = list(originals)[i % len(originals)]
            Path(name).write_bytes(mutated(contents[name], rng, list(contents.values())))
            says = outcome(originals[name])
            Path(name).write_bytes(contents[name])
            found[says.partition(":")[0]] += 1
            if says.startswith("defect"):
                defects.append(f"{i}, {name}: {says}")
        os.chdir("/")
    return {"outcomes": found, "defects": defects}


if __name__ == "__main__":
    faulthandler.enable()
    # More would be asked for by a file of a few kilobytes only because of a number in it.
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 8 * _GIGABYTE, resource.RLIM_INFINITY))
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2])), indent=1))
