"""A command for each divergence of the registry."""

from pathlib import Path

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
