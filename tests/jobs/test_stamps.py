"""What tells that an input was changed."""

import os

import pytest

from kullback.errors import PosteriorFileError
from kullback.jobs.stamps import fingerprint


def test_what_identifies_inputs(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/one.npy", "folder/.hidden", "mu.npy", "logvar.npy"):
        (tmp_path / name).write_bytes(b"1234")
    stamps = fingerprint([str(tmp_path / "folder"), f"{tmp_path}/mu.npy,{tmp_path}/logvar.npy"])
    assert [os.path.basename(path) for path in stamps] == ["one.npy", "mu.npy", "logvar.npy"]
    assert stamps[str(tmp_path / "mu.npy")] == [4, os.stat(tmp_path / "mu.npy").st_mtime_ns]
    with pytest.raises(PosteriorFileError, match=r"gone\.npz: cannot be read: No such file"):
        fingerprint([str(tmp_path / "gone.npz")])


def test_a_chunk_that_is_overwritten_changes_what_identifies_a_store(tmp_path):
    store = tmp_path / "store.zarr"
    (store / "mu" / "c").mkdir(parents=True)
    for name in ("0", "1"):
        (store / "mu" / "c" / name).write_bytes(b"1234")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "0").write_bytes(b"1234")
    os.symlink(tmp_path / "elsewhere", store / "logvar")
    os.symlink(store, store / "mu" / "circle")
    found = []
    for changed in ("store.zarr/mu/c/1", "elsewhere/0"):
        found.append(fingerprint([str(store)]))
        assert found[-1] == fingerprint([str(store)])
        stamp = os.stat(tmp_path / changed)
        (tmp_path / changed).write_bytes(b"5678")
        os.utime(tmp_path / changed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    found.append(fingerprint([str(store)]))
    assert [[count for count, _ in stamps.values()] for stamps in found] == [[3]] * 3
    assert len({str(stamps) for stamps in found}) == 3


def test_a_file_elsewhere_is_identified_by_what_is_known_of_it_there():
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    addresses = ["memory://stamped/a.npz", "memory://stamped/store.zarr"]
    files = ["/stamped/a.npz", "/stamped/store.zarr/mu/c/0"]
    for file in files:
        system.pipe(file, b"1234")
    before = fingerprint(addresses)
    assert list(before) == addresses
    assert before == fingerprint(addresses)
    for file in files:
        system.pipe(file, b"5678")
    after = fingerprint(addresses)
    assert all(before[address] != after[address] for address in addresses)
    system.rm("/stamped", recursive=True)
