"""Files that are damaged, odd or meant to do harm end in one line and exit code 2, and leave nothing behind."""

import ctypes
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from truth.hostile import LOGVAR, MU, write_good
from truth.hostile_stores import KINDS

from kullback.cli.app import commands

ROOT = Path(__file__).parents[1]


def run(*arguments):
    return CliRunner().invoke(commands, arguments)


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kullback", *arguments], capture_output=True, check=False, timeout=100, **options
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def is_refused(exit_code, stderr, says):
    lines = [line for line in stderr.splitlines() if not line.startswith("note: ")]
    assert exit_code == 2, stderr
    assert len(lines) == 1, stderr
    assert lines[0].startswith("Error: ")
    assert lines[0].isprintable()
    assert len(lines[0]) < 2000
    assert re.search(says, lines[0]), lines[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_file_gives_one_line_and_exit_code_2(kind, folder):
    make, says = KINDS[kind]
    arguments = make()
    before = sorted(os.listdir())
    result = run(*arguments)
    if says is None:
        assert result.exit_code == 0, result.output
        return
    is_refused(result.exit_code, result.stderr, says)
    assert result.stdout == ""
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize(
    "kind",
    [
        "torch: 10^14 rows of one number",
        "torch: nested id",
        "ids: lone surrogates, kl",
        "claims of 10^14 rows, .npz",
        "path: a loop of links is written",
        "path: a pipe is read",
        "arrow: ids beyond their characters",
        "zarr: pickled objects",
        "csv: a terabyte without an end of line",
    ],
)
def test_a_process_says_the_same(kind, folder):
    make, says = KINDS[kind]
    result = process(*make())
    is_refused(result.returncode, result.stderr.decode(), says)
    assert result.stdout == b""


def test_a_pipe_or_a_device_is_never_replaced(folder):
    make, _ = KINDS["path: a pipe is written"]
    run(*make())
    assert stat.S_ISFIFO(os.stat("o.npz").st_mode)


def test_the_order_and_the_byte_order_of_an_array_do_not_change_its_numbers(folder):
    write_good("b.npz")
    np.savez("a.npz", mu=MU, logvar=LOGVAR)
    expected = run("kl", "a.npz", "b.npz").stdout
    np.savez("c.npz", mu=np.asfortranarray(MU.astype(">f4")), logvar=LOGVAR.astype(">f4"))
    assert run("kl", "c.npz", "b.npz").stdout == expected


BYTES = os.fsdecode(b"a\xff\n.npz")


def test_a_name_that_is_not_unicode_is_read_and_written_escaped(folder):
    write_good(BYTES, "b.npz")
    result = process("compare", BYTES, "b.npz", "--json", "o.json", "--report", "o.html", "--align", "none")
    assert result.returncode == 0, result.stderr
    assert json.loads(Path("o.json").read_bytes())["names"] == [r"a\udcff\n", "b"]
    assert r"a\udcff\n" in Path("o.html").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in result.stdout.decode().splitlines())
    result = process("kl", BYTES, "b.npz", "-o", os.fsdecode(b"o\xff.csv"))
    assert result.returncode == 0, result.stderr
    assert result.stderr.decode().startswith(r"wrote 6 rows to o\udcff.csv")
    result = run("compare", "b.npz", BYTES, "--names", os.fsdecode(b"x\xff") + ",y\n", "--json", "o.json")
    assert result.exit_code == 0, result.output
    assert json.loads(Path("o.json").read_bytes())["names"] == [r"x\udcff", "y"]


LARGEST = np.finfo(np.float64).max
ONES = np.ones((6, 3))
CORNER = np.zeros((6, 3))
CORNER[1, 1] = 1
EXTREMES = {
    "largest means": (ONES * LARGEST, ONES),
    "one largest mean": (CORNER * LARGEST, ONES),
    "largest means of both signs": (np.where(CORNER, LARGEST, -LARGEST), ONES),
    "largest widths": (ONES, ONES * LARGEST),
    "one largest width": (ONES, np.where(CORNER, LARGEST, 1)),
    "smallest widths": (ONES, ONES * 5e-324),
    "both": (np.where(CORNER, LARGEST, 5e-324), np.where(CORNER, 5e-324, LARGEST)),
    "squares near the largest": (np.arange(18.0).reshape(6, 3) * 1e153, ONES),
    "largest of float32": (ONES.astype(np.float32) * np.finfo(np.float32).max, ONES.astype(np.float32)),
    "one row": (ONES[:1] * LARGEST, ONES[:1]),
    "one column": (ONES[:, :1] * LARGEST, ONES[:, :1]),
}


@pytest.mark.parametrize("files", [("a.npz",), ("a.npz", "b.npz"), ("a.npz", "b.npz", "c.npz")], ids=len)
@pytest.mark.parametrize("name", EXTREMES)
def test_the_largest_and_smallest_numbers_are_compared_and_drawn(name, files, folder):
    mu, std = EXTREMES[name]
    for path, mean, scale in (("a.npz", mu, std), ("b.npz", mu * 0, std * 0 + 1), ("c.npz", mu, std)):
        np.savez(path, mu=mean, std=scale)
    result = run("compare", *files, "--report", "o.html", "--json", "o.json")
    assert result.exit_code == 0, result.output
    assert Path("o.html").read_text(encoding="utf-8").rstrip().endswith("</html>")
    json.loads(Path("o.json").read_text(encoding="utf-8"))


def _without_override():
    """In a child: heed the permissions of files even if root runs it."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        libc.prctl(24, capability, 0, 0, 0)


FORBIDDEN = {
    "a file": (0, "a.npz", ("kl", "a.npz", "b.npz"), "a.npz: cannot be read: Permission denied"),
    "a folder of a file": (0, "d", ("kl", "d/a.npz", "b.npz"), "d/a.npz: .*Permission denied"),
    "a folder of arrays": (0, "d", ("kl", "d", "b.npz"), "d.*Permission denied"),
    "the folder of the output": (0o555, "d", ("kl", "a.npz", "b.npz", "-o", "d/o.npz"), "folder d is not writable"),
    "the folder of a link": (0o555, "d", ("kl", "a.npz", "b.npz", "-o", "o.npz"), "folder .*d is not writable"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are those of Linux")
@pytest.mark.parametrize("name", FORBIDDEN)
def test_what_is_forbidden_is_said(name, folder):
    mode, path, arguments, says = FORBIDDEN[name]
    os.mkdir("d")
    os.symlink("d/o.npz", "o.npz")
    write_good("a.npz", "b.npz", "d/a.npz")
    os.chmod(path, mode)
    result = process(*arguments, preexec_fn=_without_override)
    os.chmod(path, 0o755)
    is_refused(result.returncode, result.stderr.decode(), says)
    assert os.listdir("d") == ["a.npz"]


@pytest.mark.parametrize("happens", ["vanishes", "is cut off", "becomes a folder"])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
def test_a_file_that_changes_between_opening_and_reading_is_refused(happens, suffix, folder):
    import pyarrow as pa
    import pyarrow.parquet
    from safetensors.torch import save_file
    from truth.reading import whole

    from kullback import PosteriorFileError
    from kullback.io.posteriors import open_posteriors

    rows = np.random.default_rng(0).standard_normal((2000, 8))
    path = Path(f"a{suffix}")
    if suffix == ".npz":
        np.savez(path, mu=rows, logvar=rows)
    elif suffix == ".parquet":
        pyarrow.parquet.write_table(pa.table({"mu": list(rows), "logvar": list(rows)}), path)
    else:
        save_file({"mu": torch.from_numpy(rows), "logvar": torch.from_numpy(rows.copy())}, path)
    opened = open_posteriors(path)
    data = path.read_bytes()
    path.unlink()
    if happens == "is cut off":
        path.write_bytes(data[: len(data) // 2])
    elif happens == "becomes a folder":
        path.mkdir()
    with pytest.raises(PosteriorFileError, match=f"a{suffix}: "):
        whole(opened.model())


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is one of Linux")
def test_a_want_of_memory_is_no_damage_of_the_file(folder):
    rows = 20_000_000
    for name in ("mu", "logvar"):
        # A file with a hole, which takes no space.
        np.lib.format.open_memmap(f"a_{name}.npy", "w+", np.float32, (rows, 8)).flush()
    script = (
        "import resource, sys, torch, kullback.io.posteriors\n"
        "from kullback.cli.app import main\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000, resource.RLIM_INFINITY))\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, "estimate", "a_mu.npy"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    is_refused(result.returncode, result.stderr, "memory")
    assert "damaged" not in result.stderr


def test_bytes_that_are_flipped_cut_off_or_spliced_are_refused_or_read():
    """Two hundred of them; ``python -m truth.mutations`` tries any number."""
    result = subprocess.run(
        [sys.executable, "-m", "truth.mutations", "200", "0"], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["defects"] == []
    assert sum(found["outcomes"].values()) == 200
    assert found["outcomes"]["refused"] > 100


def test_a_full_disk_leaves_no_file(folder):
    if shutil.which("prlimit") is None:
        pytest.skip("there is no prlimit")
    write_good("a.npz")
    np.savez("c.npz", mu=np.zeros((5000, 3)), logvar=np.zeros((5000, 3)))
    limit = ["prlimit", "--fsize=1000", sys.executable, "-m", "kullback", "kl", "c.npz", "-o", "o.csv"]
    result = subprocess.run(limit, capture_output=True, text=True, check=False, timeout=100)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(os.listdir()) == ["a.npz", "c.npz"]
