"""The training loops of the examples give the same losses by torch's own divergence: only the import is changed.

And the same in several processes as in one.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

POLICIES = Path(__file__).parents[1] / "examples" / "policies"
OURS, THEIRS = "from kullback import kl_divergence", "from torch.distributions import kl_divergence"


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_training_loop_runs_with_only_the_import_changed(name):
    source = (POLICIES / f"{name}.py").read_text(encoding="utf-8")
    assert source.count(OURS) == 1
    losses = []
    for text in (source, source.replace(OURS, THEIRS)):
        module = {"__name__": "example"}
        exec(compile(text, f"{name}.py", "exec"), module)
        losses.append(module["train"]())
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    # It learns, and the penalty has a part in it.
    assert losses[0][-1] < losses[0][0]
    assert losses[0] != losses[1]


def test_training_in_several_processes_is_that_in_one():
    script = POLICIES.parent / "training" / "data_parallel.py"
    rates = []
    for processes in (1, 2):
        command = [sys.executable, str(script), "--processes", str(processes), "--epochs", "4"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        rates.append([float(x) for x in re.findall(r"rate (\S+) nats", printed)])
    assert rates[0] == pytest.approx(rates[1], abs=2e-6)
    assert len(rates[0]) == 4
    assert len(set(rates[0])) == 4
