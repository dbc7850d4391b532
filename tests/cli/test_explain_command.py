"""kullback explain."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

import kullback
from kullback import Gaussian, kl_divergence
from kullback.cli.app import commands

DIGITS = Path(kullback.__file__).parent / "data" / "digits"


def test_the_command_explains_a_number():
    run = CliRunner().invoke
    files = [str(DIGITS / f"{name}.npz") for name in ("standard", "beta")]
    with np.load(files[0]) as p, np.load(files[1]) as q:
        kl = kl_divergence(*(Gaussian.from_logvar(x["mu"], x["logvar"]) for x in (q, p))).mean()
    result = run(commands, ["explain", *files, "--value", f"{kl:.1f}"])
    assert result.exit_code == 0, result.output
    assert "p and q are swapped" in result.stdout
    assert run(commands, ["explain", *files, "--value", "abc"]).exit_code == 2


def test_singular_covariances_and_infinite_values_end_in_no_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("s.npz", mu=np.zeros((3, 4)), cov=np.broadcast_to(np.diag([1.0, 2.0, 0.0, 3.0]), (3, 4, 4)))
    np.savez("ok.npz", mu=np.zeros((3, 4)), cov=np.broadcast_to(np.eye(4), (3, 4, 4)))
    run = CliRunner().invoke
    for files, divergence in ((["s.npz"], "inf"), (["s.npz", "s.npz"], "0"), (["s.npz", "ok.npz"], "inf")):
        result = run(commands, ["explain", *files, "--value", "2.5"])
        assert result.exit_code == 0, result.output
        assert f"KL(p‖q): {divergence} nats" in result.stdout
        assert "2.5: not correct" in result.stdout
    result = run(commands, ["explain", "ok.npz", "--value", "inf"])
    assert result.exit_code == 2
    assert "value must be a finite number" in result.stderr
