"""What a divergence holds in memory while it works, in units of its two covariances: a few times, never dozens.

In a process of its own, where large arrays go back to the system as soon as they are freed, so that its peak is what
was alive at once. The ceilings are an eighth above what was measured when they were set: a copy more is noticed.
"""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
import torch
import kullback
from kullback import Gaussian

torch.set_num_threads(1)
batch, d = json.loads(sys.argv[1])
functions = {
    "kl_divergence": kullback.kl_divergence,
    "jeffreys": kullback.jeffreys,
    "renyi": lambda p, q: kullback.renyi(p, q, 0.3),
    "renyi above 1": lambda p, q: kullback.renyi(p, q, 1.1),
    "wasserstein2": kullback.wasserstein2,
}

def covariance(batch, seed):
    noise = torch.randn(*batch, d, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / d**0.5
    return noise @ noise.mT + torch.eye(d, dtype=torch.float64)

def status(key):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(key)) * 1024

def run(f, matrices, gradients):
    leaves = [x.detach().requires_grad_(gradients) for x in matrices]
    p, q = (Gaussian.from_covariance(float(i), x, validate=False) for i, x in enumerate(leaves))
    value = f(p, q).sum()
    return torch.autograd.grad(value, leaves) if gradients else value

matrices, small = [covariance(batch, i) for i in (0, 1)], [covariance((1,), i) for i in (0, 1)]
for name, f in functions.items():
    for gradients in (False, True):
        run(f, small, gradients)  # the first call of a process loads what stays
        open("/proc/self/clear_refs", "w").write("5")
        before = status("VmRSS")
        run(f, matrices, gradients)
        peak = (status("VmHWM") - before) / sum(x.nbytes for x in matrices)
        print(json.dumps([name, gradients, peak]))
"""

NAMES = ("kl_divergence", "jeffreys", "renyi", "renyi above 1", "wasserstein2")

# Without gradients, and with those of both covariances.
ONE_LARGE = ((6.2, 7.9), (6.8, 11.3), (9.6, 14.1), (6.8, 10.7), (10.4, 12.4))
MANY_SMALL = ((6.5, 10.5), (7.0, 18.5), (7.4, 21.4), (7.1, 17.7), (3.4, 10.1))


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from Linux's /proc")
@pytest.mark.parametrize(("batch", "d", "ceilings"), [((), 1000, ONE_LARGE), ((100_000,), 3, MANY_SMALL)])
def test_a_large_pair_and_many_small_ones_take_a_few_times_their_inputs(batch, d, ceilings):
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([batch, d])],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    allowed = dict(zip(NAMES, ceilings, strict=True))
    for name, gradients, peak in map(json.loads, result.stdout.splitlines()):
        assert peak < allowed[name][gradients], (name, gradients, peak)
