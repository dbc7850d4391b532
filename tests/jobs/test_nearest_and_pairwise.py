"""The nearest rows and the matrix of all pairs, by engines, from memory and from streams, and by killed processes."""

import random
import shutil
import time

import numpy as np
import pyarrow.dataset
import pytest
import torch
from jobs.runs import ROWS, TASKS, content, finish, make_inputs, start, wait_for_parts

import kullback
from kullback import Gaussian
from kullback.engines.dask import Dask
from kullback.engines.local import Local
from kullback.errors import PosteriorFileError
from kullback.io import kept as kept_module
from kullback.io.kept import Held, Streamed, kept
from kullback.io.reading import Reading
from kullback.io.row_outputs import row_output
from kullback.jobs import nearest as nearest_module
from kullback.jobs.nearest import Nearest, write_nearest

K = 6
BLOCKS = 15 * 4


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


@pytest.fixture
def folder(inputs, tmp_path):
    for name in ("a.npz", "b.npz"):
        shutil.copy2(inputs / name, tmp_path)
    return tmp_path


def gaussian(path):
    """The rows whose means are numbers, and their ids."""
    with np.load(path) as file:
        good = np.isfinite(file["mu"]).all(1)
        mean, logvar = (torch.from_numpy(file[name][good]) for name in ("mu", "logvar"))
        return Gaussian.from_logvar(mean, logvar), file["id"][good]


def command(name, output):
    return ["nearest", "a.npz", "b.npz", "-k", str(K), "-o", output] if name == "nearest" else [
        "pairwise", "a.npz", "b.npz", "-o", output]  # fmt: skip


def matrix(path):
    if path.suffix == ".npy":
        return np.load(path)
    return pytest.importorskip("zarr").open_array(path, mode="r")[:]


@pytest.fixture(scope="module")
def undisturbed(inputs):
    """What undisturbed runs write in threads, by the name of the output."""
    names = {"near.npz": "nearest", "near/": "nearest", "kl.zarr": "pairwise", "kl.npy": "pairwise"}
    running = {name: start(inputs, *command(of, name), "--workers", "2") for name, of in names.items()}
    for process in running.values():
        code, said = finish(process)
        assert code == 0, said
    return inputs


@pytest.fixture(scope="module")
def scheduler():
    """The address of a cluster of two processes, which work in another folder than the commands."""
    with Dask(workers=2) as cluster:
        yield cluster._client.scheduler.address


def test_the_nearest_are_those_in_memory(undisturbed):
    (p, ids), (q, others) = (gaussian(undisturbed / f"{name}.npz") for name in "ab")
    found = kullback.nearest(p, q, K)
    table = pyarrow.dataset.dataset(undisturbed / "near").to_table().to_pydict()
    with np.load(undisturbed / "near.npz") as file:
        assert {name: file[name].tolist() for name in file} == table
    assert len(list((undisturbed / "near").iterdir())) == TASKS
    assert table["id"] == ids.repeat(K).tolist()
    assert table["rank"] == [*range(1, K + 1)] * ROWS
    assert table["neighbour"] == others[found.indices.flatten().numpy()].tolist()
    np.testing.assert_allclose(table["kl"], found.values.flatten().numpy(), rtol=1e-14)


def test_the_matrix_is_that_in_memory(undisturbed):
    (p, _), (q, _) = (gaussian(undisturbed / f"{name}.npz") for name in "ab")
    want = kullback.pairwise(p, q).numpy()
    for name in ("kl.npy", "kl.zarr"):
        np.testing.assert_allclose(matrix(undisturbed / name), want, rtol=2e-12)


def is_the_same(name, got, want):
    """The neighbours to the byte, a matrix to the bit."""
    if name == "nearest":
        assert content(got) == content(want)
    else:
        np.testing.assert_array_equal(matrix(got), matrix(want))


@pytest.mark.parametrize(("name", "output"), [("nearest", "near.npz"), ("pairwise", "kl.zarr"), ("pairwise", "kl.npy")])
def test_processes_of_a_cluster_write_the_same(name, output, folder, undisturbed, scheduler):
    code, said = finish(start(folder, *command(name, output), "--scheduler", scheduler))
    assert (code, len(said.splitlines())) == (0, 1), said
    is_the_same(name, folder / output, undisturbed / output)
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "b.npz", output]


@pytest.mark.parametrize(
    ("name", "output"), [("nearest", "near.npz"), ("nearest", "near/"), ("pairwise", "kl.zarr"), ("pairwise", "kl.npy")]
)
def test_a_killed_process_leaves_nothing_whole_and_resume_writes_the_same(name, output, folder, undisturbed):
    process = start(folder, *command(name, output))
    wait_for_parts(folder, random.randrange(1, TASKS - 10), process)
    time.sleep(0.01 * random.random())
    process.kill()
    process.communicate()
    # It may be killed after the result has its name.
    published = (folder / output).exists()
    if published:
        is_the_same(name, folder / output, undisturbed / output)
    code, said = finish(start(folder, *command(name, output), "--resume", "--workers", "3"))
    assert code == 0, said
    assert published or f"of {TASKS if name == 'nearest' else BLOCKS} parts were finished" in said
    is_the_same(name, folder / output, undisturbed / output)
    assert sorted(path.name for path in folder.iterdir()) == sorted(["a.npz", "b.npz", output.rstrip("/")])


def test_another_computation_is_not_continued(folder):
    process = start(folder, *command("nearest", "near.npz"))
    wait_for_parts(folder, 3, process)
    process.kill()
    process.communicate()
    code, said = finish(start(folder, "nearest", "a.npz", "b.npz", "-k", "7", "-o", "near.npz", "--resume"))
    assert (code, len(said.splitlines())) == (2, 1)
    assert f"-k was {K} and is 7" in said


def models(folder):
    return [Reading().models([str(folder / f"{name}.npz")])[0] for name in "ab"]


def test_why_a_search_in_another_memory_is_not_continued_is_said(folder, monkeypatch):
    a, b = models(folder)
    held = kept(b, skip=False, copies=1)
    monkeypatch.setattr(kept_module, "_SHARE", 0.0)
    streamed = kept(b, skip=False, copies=1)
    monkeypatch.setattr(nearest_module, "_PRODUCTS", {True: 2**19, False: 2**20})
    output, rows = row_output(str(folder / "near.npz")), kept_module.alone(a, skip=False)

    def search(searched, progress, resume):
        write_nearest(Nearest(rows, searched, K, "kl"), output, [], Local(1), reading={}, resume=resume,
                      progress=progress, say=print)  # fmt: skip

    def stop(done, whole):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(held, stop, resume=False)
    says = (
        "B, by the memory of the machine and the --workers of Dask, was held in memory and is "
        "read in blocks; the rows are divided into other tasks. Undo that, or leave --resume out, which starts afresh"
    )
    with pytest.raises(PosteriorFileError, match=says):
        search(streamed, lambda done, whole: None, resume=True)
    search(held, lambda done, whole: None, resume=True)


@pytest.mark.parametrize("skip", [False, True])
def test_what_is_read_in_blocks_is_what_is_held(skip, folder, monkeypatch):
    if skip:
        for name, rows in (("a", [3, 700]), ("b", [0, 5, 6, 1900])):
            with np.load(folder / f"{name}.npz") as file:
                columns = dict(file)
            columns["mu"][rows, 1] = np.nan
            np.savez(folder / f"{name}.npz", **columns)
    a, b = models(folder)
    held = kept(b, skip=skip, copies=1)
    monkeypatch.setattr(kept_module, "_SHARE", 0.0)
    streamed = kept(b, skip=skip, copies=1)
    assert isinstance(held, Held)
    assert isinstance(streamed, Streamed)
    assert streamed.skipped == held.skipped
    assert held.skipped.count == (4 if skip else 0)
    assert len(streamed) == len(held) == ROWS - held.skipped.count
    np.testing.assert_array_equal(streamed.ids(np.array([[4, 0], [1800, 4]])), held.ids(np.array([[4, 0], [1800, 4]])))
    assert torch.equal(streamed.part(2, 9).mean, held.part(2, 9).mean)
    monkeypatch.setattr(nearest_module, "block_size", lambda p, q: 500)
    rows = kept_module.alone(a, skip=skip)
    written = []
    for name, searched in (("held", held), ("streamed", streamed)):
        output = row_output(str(folder / f"{name}.npz"))
        _, skipped, _ = write_nearest(
            Nearest(rows, searched, K, "kl"), output, [], Local(2), reading={}, resume=False,
            progress=lambda done, whole: None, say=print,
        )  # fmt: skip
        assert skipped.count == (2 if skip else 0)
        written.append(content(folder / f"{name}.npz"))
    assert written[0] == written[1]
    with np.load(folder / "held.npz") as file:
        (p, ids), (q, others) = (gaussian(folder / f"{name}.npz") for name in "ab")
        found = kullback.nearest(p, q, K)
        np.testing.assert_array_equal(file["id"], ids.repeat(K))
        np.testing.assert_array_equal(file["neighbour"], others[found.indices.flatten().numpy()])
        np.testing.assert_array_equal(file["kl"], found.values.flatten().numpy())
