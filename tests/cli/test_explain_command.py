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
