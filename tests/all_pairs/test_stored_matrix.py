"""The matrix of all pairs that goes into a file, block by block."""

import builtins
import sys

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import kullback
from kullback import Gaussian, pairwise
from kullback.all_pairs import pairwise as module
from kullback.errors import PosteriorFileError

zarr = pytest.importorskip("zarr")


class Reversed:
    """An engine that works from the last task to the first, on copies that were sent."""

    def map(self, work, tasks, combine=None):
        import cloudpickle

        send = lambda x: cloudpickle.loads(cloudpickle.dumps(x))  # noqa: E731
        done = [send(work)(send(tasks[i])) for i in reversed(range(len(tasks)))]
        yield from ((1, result) for result in reversed(done))


def batch(n, seed, dtype=torch.float64, d=5):
    g = torch.Generator().manual_seed(seed)
    mean, std = torch.randn(n, d, generator=g, dtype=dtype), 0.5 + torch.rand(n, d, generator=g, dtype=dtype)
    return Gaussian.from_std(mean, std)


def read(path):
    return torch.from_numpy(np.load(path) if path.suffix == ".npy" else zarr.open_array(path, mode="r")[:])


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
@pytest.mark.parametrize("divergence", ["kl", "jeffreys", "wasserstein2"])
@pytest.mark.parametrize("engine", [None, Reversed()])
def test_the_file_has_what_the_matrix_has(tmp_path, monkeypatch, suffix, divergence, engine):
    monkeypatch.setattr(module, "BLOCK", (30, 40))
    p, q = batch(70, 0), batch(90, 1)
    path = pairwise(p, q, divergence, out=tmp_path / f"out{suffix}", engine=engine)
    assert path == tmp_path / f"out{suffix}"
    assert_close(read(path), pairwise(p, q, divergence), rtol=2e-12, atol=0)
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_one_block_is_the_matrix_to_the_bit_and_the_array_says_what_it_is(tmp_path):
    p, q = batch(1100, 0, torch.float32), batch(50, 1, torch.float32)
    array = zarr.open_array(pairwise(p, q, out=str(tmp_path / "kl.zarr")), mode="r")
    assert array.chunks == (1024, 50)
    assert array.dtype == np.float32
    assert dict(array.attrs) == {"divergence": "kl", "kullback": kullback.__version__}
    assert (torch.from_numpy(array[:]) == pairwise(p, q)).all()
    assert_close(pairwise(p, q, engine=Reversed()), pairwise(p, q), rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".zarr", ".npy"])
def test_an_interrupted_run_leaves_what_was_there(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr(module, "BLOCK", (30, 40))
    path = tmp_path / f"out{suffix}"
    calls = []

    def fails_late(p, q):
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return kullback.kl_divergence(p, q)

    with pytest.raises(KeyboardInterrupt):
        pairwise(batch(70, 0), batch(90, 1), fails_late, out=path)
    assert not list(tmp_path.iterdir())
    pairwise(batch(3, 0), batch(4, 1), out=path)
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        pairwise(batch(70, 0), batch(90, 1), fails_late, out=path)
    assert read(path).shape == (3, 4)
    pairwise(batch(4, 0), batch(0, 1), out=path)
    assert read(path).shape == (4, 0)
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_written_is_refused_in_one_line(tmp_path, monkeypatch):
    p = batch(3, 0)
    with pytest.raises(ValueError, match=r"ends in \.zarr or \.npy"):
        pairwise(p, p, out=tmp_path / "out.csv")
    with pytest.raises(ValueError, match="there is no folder"):
        pairwise(p, p, out=tmp_path / "nowhere" / "out.npy")
    p.mean.requires_grad_()
    with pytest.raises(ValueError, match=r"p\.detach\(\)"):
        pairwise(p, p, out=tmp_path / "out.npy")
    imported = builtins.__import__
    monkeypatch.delitem(sys.modules, "zarr")

    def without(name, *further):
        if name == "zarr":
            raise ImportError(name)
        return imported(name, *further)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'kullback\[zarr\]'"):
        pairwise(batch(3, 0), batch(3, 1), out=tmp_path / "out.zarr")


def test_an_array_that_a_killed_run_set_aside_comes_back(tmp_path):
    p, path = batch(3, 0), tmp_path / "kl.zarr"
    want = read(pairwise(p, p, out=path))
    path.rename(tmp_path / ".kl.zarr.kullback-before")

    def fail(p, q):
        raise KeyboardInterrupt

    with pytest.warns(UserWarning, match="the earlier result is back"), pytest.raises(KeyboardInterrupt):
        pairwise(p, p, fail, out=path)
    assert_close(read(path), want, rtol=0, atol=0)
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_behind_a_link_the_array_that_it_points_to_is_replaced(tmp_path):
    p = batch(3, 0)
    (tmp_path / "kl.zarr").symlink_to(tmp_path / "real.zarr")
    for divergence in ("kl", "jeffreys"):
        pairwise(p, p, divergence, out=tmp_path / "kl.zarr")
    assert (tmp_path / "kl.zarr").is_symlink()
    assert_close(read(tmp_path / "real.zarr"), pairwise(p, p, "jeffreys"), rtol=2e-12, atol=0)


def test_only_a_matrix_that_was_written_here_is_replaced(tmp_path):
    p, path = batch(3, 0), tmp_path / "kl.zarr"
    path.mkdir()
    pairwise(p, p, out=path)
    (path / "c" / "thesis.tex").write_text("mine")
    with pytest.raises(PosteriorFileError, match=r"kl\.zarr: holds 'c.thesis\.tex', which is no part of a matrix"):
        pairwise(p, p, out=path)
    (path / "c" / "thesis.tex").rename(path / "thesis.tex")
    with pytest.raises(PosteriorFileError, match=r"holds 'thesis\.tex'"):
        pairwise(p, p, out=path)
    (path / "thesis.tex").unlink()
    (path / "c" / "0" / "0.0123abcd.partial").touch()  # of a worker that was killed
    pairwise(p, p, out=path)

    group = zarr.open_group(tmp_path / "model.zarr", mode="w")
    group["mu"] = np.zeros((3, 2))
    zarr.save_array(tmp_path / "array.zarr", np.zeros((3, 3)))
    (tmp_path / "file.zarr").write_text("mine")
    (tmp_path / "folder.npy").mkdir()
    (tmp_path / "link.zarr").symlink_to("model.zarr")
    before = sorted(tmp_path.rglob("*"))
    for name, says in (
        ("model.zarr", "holds 'mu'"),
        ("link.zarr", "holds 'mu'"),
        ("array.zarr", r"holds 'zarr\.json'"),
        ("file.zarr", "is no folder"),
        ("folder.npy", "is a folder"),
    ):
        with pytest.raises(PosteriorFileError, match=says):
            pairwise(p, p, out=tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("out", ["s3://bucket/kl.zarr", "file:///kl.npy", "memory://kl.npy", ""])
def test_what_is_no_path_of_this_machine_is_refused(out):
    with pytest.raises(PosteriorFileError, match="Give a path"):
        pairwise(batch(3, 0), batch(3, 1), out=out)


def test_an_array_behind_a_link_may_have_any_name(tmp_path):
    p = batch(3, 0)
    (tmp_path / "kl.zarr").symlink_to(tmp_path / "real")
    for _ in range(2):
        pairwise(p, p, out=tmp_path / "kl.zarr")
    assert zarr.open_array(tmp_path / "real", mode="r").shape == (3, 3)
