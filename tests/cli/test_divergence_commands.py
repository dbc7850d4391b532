"""A command for each divergence of the registry."""

from pathlib import Path

import numpy as np
import pytest
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


@pytest.mark.parametrize("output", [(), ("-o", "out.csv")])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("renyi", "--alpha", "-1"), "alpha is a number from 0 up, got -1.0."),
        (("geometric_jensen_shannon", "--weight", "1"), "weight is a number between 0 and 1, got 1.0."),
    ],
)
def test_an_argument_out_of_its_range_ends_in_one_line(arguments, says, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(commands, [*arguments, str(DIGITS / "standard.npz"), *output])
    assert (result.exit_code, result.stderr) == (2, f"Error: {says}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("output", [(), ("-o", "out.csv")])
def test_a_defect_is_not_told_as_bad_input(output, tmp_path, monkeypatch):
    def defect(work, rows):
        raise ValueError("operands could not be broadcast")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kullback.jobs.divergences.RowDivergence.compute", defect)
    result = CliRunner().invoke(commands, ["kl", str(DIGITS / "standard.npz"), *output])
    assert (result.exit_code, str(result.exception)) == (1, "operands could not be broadcast")


def test_a_divergence_without_a_closed_form_for_the_covariances_of_a_file_ends_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("a.npz", mu=np.zeros((2, 3)), cov=np.broadcast_to(np.eye(3), (2, 3, 3)))
    result = CliRunner().invoke(commands, ["fisher_rao", "a.npz", "a.npz"])
    assert result.exit_code == 2
    assert "has no closed form" in result.stderr
    assert len(result.stderr.splitlines()) == 1
