"""The command line, as a process where that matters."""

import json
import os
import pty
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from truth.processes import heeds_interrupts

from kullback import Gaussian, kl_divergence
from kullback.cli.app import commands

RNG = np.random.default_rng(0)
MU, LOGVAR = RNG.standard_normal((2, 40, 3)).astype(np.float32)


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", mu=MU, logvar=LOGVAR)
    np.savez("b.npz", mu=MU + 1, logvar=LOGVAR / 2)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(commands, arguments)


def process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "kullback", *arguments], capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize(
    "statement", ["import kullback", "from kullback.cli.app import commands; commands(['--help'])"]
)
def test_neither_importing_nor_helping_imports_torch(statement):
    watch = f"import sys, atexit; atexit.register(lambda: print('torch' in sys.modules)); {statement}"
    result = subprocess.run([sys.executable, "-c", watch], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "False"


def test_piped_output_is_plain_lines_of_key_and_value(files):
    result = process("compare", "a.npz", "b.npz")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    pairs = [line.split(": ", 1) for line in result.stdout.splitlines()]
    assert all(len(pair) == 2 for pair in pairs)
    assert pairs[0][0] == "finding.1"
    assert "as they stand" in pairs[0][1]
    p, q = Gaussian.from_logvar(MU, LOGVAR), Gaussian.from_logvar(MU + 1, LOGVAR / 2)
    assert len(dict(pairs)) == len(pairs)
    assert float(dict(pairs)["kl_ab.mean"]) == pytest.approx(kl_divergence(p, q).mean(), rel=1e-6)


def test_a_terminal_gets_tables(files):
    leader, follower = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    result = subprocess.Popen(
        [sys.executable, "-m", "kullback", "compare", "a.npz", "b.npz"], stdout=follower, env=environment
    )
    os.close(follower)
    output = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # The other end is closed.
            break
        if not piece:
            break
        output += piece
    os.close(leader)
    assert result.wait() == 0
    text = output.decode()
    assert "KL(A‖prior)" in text
    assert "A is a, B is b" in text
    assert "kl_ab.mean" not in text


def test_json_and_report_are_written_whole(files):
    result = run("compare", "a.npz", "b.npz", "--json", "out.json", "--report", "out.html", "--names", "plain,beta")
    assert result.exit_code == 0, result.output
    data = json.loads((files / "out.json").read_text())
    assert data["names"] == ["plain", "beta"]
    assert len(data["ab"]["per_dimension"]) == 3
    assert (files / "out.html").read_text().rstrip().endswith("</html>")
    assert sorted(p.name for p in files.iterdir()) == ["a.npz", "b.npz", "out.html", "out.json"]


def test_kl_writes_one_number_for_each_row(files):
    result = run("kl", "a.npz", "b.npz", "-o", "out.npz")
    assert result.exit_code == 0, result.output
    with np.load("out.npz") as data:
        want = kl_divergence(Gaussian.from_logvar(MU, LOGVAR), Gaussian.from_logvar(MU + 1, LOGVAR / 2))
        np.testing.assert_array_equal(data["kl"], want)
        np.testing.assert_array_equal(data["id"], np.arange(40))


def test_kl_without_output_is_csv_on_stdout(files):
    lines = process("kl", "a.npz", "b.npz").stdout.splitlines()
    assert lines[0] == "id,kl"
    assert len(lines) == 41


def test_a_closed_pipe_ends_quietly(files):
    # More rows than a pipe holds.
    np.savez("long.npz", mu=np.tile(MU, (1000, 1)), logvar=np.tile(LOGVAR, (1000, 1)))
    command = f"set -o pipefail; {sys.executable} -m kullback kl long.npz long.npz | head -1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert result.stdout == "id,kl\n"
    assert result.stderr == ""


def test_info_says_which_kernels_run():
    from kullback.kernels import choice

    result = run("info")
    assert result.exit_code == 0
    names = ", ".join(b.name for b in choice.current().backends if not b.unavailable_reason())
    assert f"kernels: {names}" in result.stdout


def test_both_models_may_stand_in_one_file(files):
    np.savez("both.npz", mu_1=MU, logvar_1=LOGVAR, mu_2=MU + 1, logvar_2=LOGVAR / 2)
    one, two = run("kl", "both.npz"), run("kl", "a.npz", "b.npz")
    assert one.exit_code == 0
    assert one.stdout == two.stdout
    chosen = run("kl", "both.npz", "--models", "2,1")
    assert chosen.stdout == run("kl", "b.npz", "a.npz").stdout
    np.savez("three.npz", **{f"mu_{i}": MU for i in "123"}, **{f"std_{i}": MU**2 for i in "123"})
    assert "Choose with --models" in run("kl", "three.npz").stderr


def test_an_interrupted_run_ends_with_130(files):
    np.savez("long.npz", mu=np.tile(MU, (1000, 1)), logvar=np.tile(LOGVAR, (1000, 1)))
    started = subprocess.Popen(
        [sys.executable, "-m", "kullback", "kl", "long.npz", "long.npz"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_interrupts,
    )
    # More rows than a pipe holds, and nobody reads on: it is in the middle of writing.
    assert started.stdout.readline() == "id,kl\n"
    started.send_signal(signal.SIGINT)
    _, error = started.communicate(timeout=60)
    assert started.returncode == 130
    assert error.strip() == "interrupted"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_leaves_no_sorted_files(number, code, files):
    mean, logvar = (np.tile(x, (2000, 1)) for x in (MU, LOGVAR))
    for name, order in (("long.npz", slice(None)), ("other.npz", slice(None, None, -1))):
        np.savez(name, mu=mean, logvar=logvar, id=np.arange(len(mean))[order])
    (files / "temporary").mkdir()
    script = "import kullback.io.reordering as r; r._IN_MEMORY = 0; from kullback.cli.app import main; main()"
    started = subprocess.Popen(
        [sys.executable, "-c", script, "kl", "long.npz", "other.npz"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(files / "temporary")},
        preexec_fn=heeds_interrupts,
    )
    # It is in the middle of writing.
    assert started.stdout.readline() == "id,kl\n"
    assert any(name.startswith("kullback-sorted-") for name in os.listdir("temporary"))
    started.send_signal(number)
    started.communicate(timeout=60)
    assert started.returncode == code
    assert os.listdir("temporary") == []


def test_an_output_is_never_an_input(files):
    before = (files / "a.npz").read_bytes()
    result = run("kl", "a.npz", "b.npz", "-o", "./a.npz")
    assert result.exit_code == 2
    assert "is an input" in result.stderr
    assert (files / "a.npz").read_bytes() == before


def test_ids_that_only_one_file_has_are_mentioned(files):
    np.savez("ids.npz", mu=MU, logvar=LOGVAR, id=np.arange(40))
    result = run("kl", "a.npz", "ids.npz")
    assert result.exit_code == 0
    assert result.stderr == "note: a.npz has no ids, so rows are joined by order\n"


def test_nothing_from_a_file_can_forge_a_line_of_output(files):
    ids = np.array([f"{i}\nkl_ab.mean: 0\x1b[31m" for i in range(40)])
    for name, shift in (("x", 0), ("y", 1)):
        np.savez(f"{name}.npz", mu=MU + shift, logvar=LOGVAR, id=ids)
    lines = process("compare", "x.npz", "y.npz").stdout.splitlines()
    assert sum(line.startswith("kl_ab.mean: ") for line in lines) == 1
    assert all(line.isprintable() for line in lines)


def test_an_encoding_without_the_signs_is_no_reason_to_fail(files):
    result = process("compare", "a.npz", "b.npz", env={**os.environ, "PYTHONIOENCODING": "latin-1"}, encoding="latin-1")
    assert result.returncode == 0, result.stderr


WRONG = {
    "no such file": ("compare", "a.npz", "nowhere.npz"),
    "no model 'x'; it holds": ("compare", "a.npz", "--models", "x"),
    "there is no folder": ("compare", "a.npz", "b.npz", "--report", "nowhere/out.html"),
    "unknown kind of file to write": ("kl", "a.npz", "b.npz", "-o", "out.xlsx"),
    "--names takes 2 different names": ("compare", "a.npz", "b.npz", "--names", "plain"),
    "names, got 'x,y,z'": ("compare", "a.npz", "b.npz", "--names", "x,y,z"),
    "names, got 'x,x'": ("compare", "a.npz", "b.npz", "--names", "x,x"),
    "names, got 'x,'": ("compare", "a.npz", "b.npz", "--names", "x,"),
    "--models takes two labels": ("compare", "a.npz", "b.npz", "--models", "plain"),
    "no model 'x'": ("compare", "a.npz", "b.npz", "--models", "x,y"),
    "more than one scale": ("kl", "several.npz", "b.npz", "--scale", "variance"),
    "to join by identity": ("kl", "a.npz", "short.npz"),
    "latent shapes differ": ("kl", "a.npz", "narrow.npz"),
    "lacks 40 of the ids": ("kl", "ids.npz", "other.npz"),
    "No such command": ("estimates",),
}


@pytest.mark.parametrize("says", WRONG)
def test_wrong_use_ends_with_exit_code_2_one_line_and_no_output_file(says, files):
    np.savez("short.npz", mu=MU[:5], logvar=LOGVAR[:5])
    np.savez("narrow.npz", mu=MU[:, :2], logvar=LOGVAR[:, :2])
    np.savez("ids.npz", mu=MU, logvar=LOGVAR, id=np.arange(40))
    np.savez("other.npz", mu=MU, logvar=LOGVAR, id=np.arange(100, 140))
    np.savez("several.npz", mu=MU, logvar=LOGVAR, std=np.exp(LOGVAR))
    before = sorted(files.iterdir())
    result = run(*WRONG[says])
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert "Traceback" not in result.output
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert sorted(files.iterdir()) == before


def test_a_defect_keeps_its_traceback(files, monkeypatch):
    def broken(*_, **__):
        raise AssertionError("a defect")

    monkeypatch.setattr("kullback.jobs.divergences.csv_text", broken)
    result = run("kl", "a.npz", "b.npz")
    assert result.exit_code == 1
    assert isinstance(result.exception, AssertionError)


def test_the_demo_compares_models_that_were_trained(tmp_path):
    result = run("demo", "--json", str(tmp_path / "demo.json"), "--report", str(tmp_path / "demo.html"))
    assert result.exit_code == 0, result.output
    scalars = json.loads((tmp_path / "demo.json").read_text())["scalars"]
    assert scalars["rows"] == 1797
    # Two seeds of one model: most of the difference is one of coordinates.
    assert "as they stand" in result.stdout.splitlines()[0]
    assert scalars["kl_ab.rotation.mean"] < 0.5 * scalars["kl_ab.permutation.mean"] < 0.3 * scalars["kl_ab.mean"]
    assert scalars["coordinates_share"] > 0.85
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["demo-beta.html", "demo.html"]


def test_training_again_and_comparing_again_works(tmp_path):
    script = os.path.join(os.path.dirname(__file__), "..", "..", "examples", "digits", "train.py")
    subprocess.run(
        [sys.executable, script, "--out", str(tmp_path), "--epochs", "2"], check=True, capture_output=True, text=True
    )
    result = run("compare", str(tmp_path / "standard.npz"), str(tmp_path / "beta.npz"), "--no-aggregate")
    assert result.exit_code == 0, result.output
    assert torch.get_default_dtype() == torch.float32
