"""Processes that train together: each runs a function of a module, connected by gloo, and reports what it returns."""

import os
import subprocess
import sys
from pathlib import Path

import torch

_PROGRAM = """
import importlib, sys, warnings
import torch, torch.distributed as dist
from datetime import timedelta
module, function, file, out, rank, world = sys.argv[1:]
dist.init_process_group(
    "gloo", init_method=f"file://{file}", rank=int(rank), world_size=int(world), timeout=timedelta(seconds=120)
)
warnings.simplefilter("error")
result = getattr(importlib.import_module(module), function)(int(rank), int(world))
torch.save(result, out)
dist.destroy_process_group()
"""


def together(module: str, function: str, folder: Path, world: int = 2) -> list[object]:
    """What ``function(rank, world)`` of a module of the tests returns in each of several processes."""
    out = [folder / f"{function}-{rank}.pt" for rank in range(world)]
    names = [module, function, str(folder / function)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *names, str(out[rank]), str(rank), str(world)],
            env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert not any(process.returncode for process in processes), "\n".join(errors)[-4000:]
    return [torch.load(path, weights_only=False) for path in out]
