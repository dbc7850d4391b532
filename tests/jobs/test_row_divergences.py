"""Divergences of rows, by processes that are killed, interrupted and left without disk."""

import os
import random
import resource
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow.dataset
import pytest
from click.testing import CliRunner
from jobs.runs import NUMBERS, ROWS, TASKS, content, finish, make_inputs, start, wait_for_parts

from kullback.cli.app import commands
from kullback.jobs import divergences

OUTPUTS = ("out.csv", "out.npz", "out.parquet", "out/")


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


@pytest.fixture(scope="module")
def undisturbed(inputs):
    """What an undisturbed run writes, by the name of the output."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(inputs)
        patch.setattr(divergences, "_NUMBERS", NUMBERS)
        for name in OUTPUTS:
            arguments = ["kl", "a.npz", "b.npz", "-o", name, "--workers", "1"]
            assert CliRunner().invoke(commands, arguments).exit_code == 0
    return {name: content(inputs / name) for name in OUTPUTS}


def test_the_values_are_those_of_the_formula(inputs, undisturbed):
    a, b = (np.load(inputs / f"{name}.npz") for name in "ab")
    with a, b:
        kl = 0.5 * (
            np.exp(a["logvar"] - b["logvar"])
            + (a["mu"] - b["mu"]) ** 2 * np.exp(-b["logvar"])
            - 1
            + b["logvar"]
            - a["logvar"]
        ).sum(1)
        with np.load(inputs / "out.npz") as data:
            np.testing.assert_allclose(data["kl"], kl, rtol=1e-12)
            np.testing.assert_array_equal(data["id"], a["id"])
        table = pyarrow.dataset.dataset(inputs / "out").to_table()
    np.testing.assert_allclose(table["kl"].to_numpy(), kl, rtol=1e-12)
    assert len(undisturbed["out/"]) == TASKS


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_killed_process_leaves_nothing_whole_and_resume_writes_the_same_bytes(name, folder, undisturbed):
    process = start(folder, "kl", "a.npz", "b.npz", "-o", name)
    wait_for_parts(folder, random.randrange(1, TASKS), process)
    time.sleep(0.01 * random.random())
    process.kill()
    process.communicate()
    # It may be killed after the result has its name.
    assert not (folder / name).exists() or content(folder / name) == undisturbed[name]
    code, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", name, "--resume", "--workers", "3"))
    assert code == 0, said
    assert content(folder / name) == undisturbed[name]
    assert sorted(path.name for path in folder.iterdir()) == sorted(["a.npz", "b.npz", name.rstrip("/")])


@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_ends_in_one_line_and_parts_stay(number, code, word, folder, undisturbed):
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)}
    process = start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv", **heeds)
    wait_for_parts(folder, 5, process)
    process.send_signal(number)
    ended, said = finish(process)
    assert ended == code
    assert len(said.split("\n")) <= 3
    assert said.strip().startswith(f"{word}; ")
    assert said.strip().endswith(f"of {TASKS} parts are finished; the same command with --resume continues")
    assert not (folder / "out.csv").exists()

    # Parts of other inputs or of another computation are not mixed with these.
    other = start(folder, "jeffreys", "a.npz", "b.npz", "-o", "out.csv", "--resume")
    by_order = start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv", "--resume", "--by-order")
    assert "computations: --by-order was not given and is given. Undo that" in finish(by_order)[1]
    stamp = os.stat(folder / "b.npz")
    assert "the divergence was kl and is jeffreys" in finish(other)[1]
    os.utime(folder / "b.npz", ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1))
    ended, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv", "--resume"))
    assert (ended, len(said.splitlines())) == (2, 1)
    assert "b.npz has changed" in said

    ended, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv"))
    assert ended == 0
    assert "parts of another computation are removed, which an interrupted run had finished" in said
    assert content(folder / "out.csv") == undisturbed["out.csv"]


def test_a_disk_that_is_full_ends_in_one_line_and_parts_stay(folder, undisturbed):
    # No file may be so large: that is met when the parts are put together.
    limit = {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))}
    code, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv", **limit))
    assert (code, len(said.splitlines())) == (2, 1)
    assert "File too large" in said
    assert f"{TASKS} of {TASKS} parts are finished" in said
    assert not (folder / "out.csv").exists()
    assert finish(start(folder, "kl", "a.npz", "b.npz", "-o", "out.csv", "--resume"))[0] == 0
    assert content(folder / "out.csv") == undisturbed["out.csv"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 100 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_small_disk_is_filled_by_parts(small_disk, folder):
    code, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", "disk/out.parquet"))
    assert (code, len(said.splitlines())) == (2, 1)
    assert "No space left on device" in said
    assert [path.name for path in small_disk.iterdir()] == [".out.parquet.kullback-parts"]


def test_a_process_of_a_cluster_writes_the_same_bytes(folder, undisturbed):
    code, said = finish(start(folder, "kl", "a.npz", "b.npz", "-o", "out.npz", "--engine", "dask", "--workers", "2"))
    assert (code, len(said.splitlines())) == (0, 1), said
    assert said.startswith(f"wrote {ROWS:,} rows")
    assert content(folder / "out.npz") == undisturbed["out.npz"]


def test_bad_input_leaves_nothing(folder):
    code, said = finish(start(folder, "renyi", "a.npz", "b.npz", "--alpha", "-1", "-o", "out.csv"))
    assert (code, len(said.splitlines())) == (2, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["a.npz", "b.npz"]
