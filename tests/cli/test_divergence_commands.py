"""A command for each divergence of the registry."""

from pathlib import Path

import numpy as np
from click.testing import CliRunner

import kullback
from kullback.cli.app import commands

DIGITS = Path(kullback.__file__).parent / "data" / "digits"


def test_every_divergence_is_a_command():
    from kullback.divergences.registry import RECORDS

    files = [str(DIGITS / f"{name}.npz") for name in ("standard", "beta")]
    for record in RECORDS:
        name = record.module
        further = ["--alpha", "0.5"] if record.required else []
        result = CliRunner().invoke(commands, [name, *files, *further])
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"id,{name}\n0,")
    assert CliRunner().invoke(commands, ["renyi", *files, "--alpha", "-1"]).exit_code == 2


def test_a_divergence_without_a_closed_form_for_the_covariances_of_a_file_ends_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", mu=np.zeros((2, 3)), cov=np.broadcast_to(np.eye(3), (2, 3, 3)))
    result = CliRunner().invoke(commands, ["fisher_rao", "a.npz", "a.npz"])
    assert result.exit_code == 2
    assert "has no closed form" in result.stderr
    assert len(result.stderr.splitlines()) == 1
