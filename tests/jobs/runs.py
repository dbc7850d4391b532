"""The command line in a process of its own, with tasks so small that it has many."""

import os
import subprocess
import sys
import time

import numpy as np

ROWS = 1920
TASKS = 60

# How many numbers of a mean a task has.
NUMBERS = 2**7

SMALL_TASKS = f"""
import sys
import kullback.all_pairs.stored_matrix as matrix
import kullback.comparison.passes as passes
import kullback.jobs.checkpoint as checkpoint
import kullback.jobs.divergences as divergences
import kullback.jobs.nearest as nearest
import kullback.jobs.pairwise as pairwise
divergences._NUMBERS = nearest._NUMBERS = passes._NUMBERS = {NUMBERS}
checkpoint._SECONDS = checkpoint._TIMES = checkpoint._SECONDS_OF_PASS = 0
pairwise.BLOCK, matrix._CHUNK = (128, 480), 32
from kullback.cli.app import main
main()
"""


def make_inputs(folder):
    """Two models of the same inputs."""
    random = np.random.default_rng(0)
    ids = np.array([f"row {i}, of {ROWS}" for i in range(ROWS)])
    for name in ("a", "b"):
        mu, logvar = random.normal(size=(2, ROWS, 4))
        np.savez(folder / f"{name}.npz", mu=mu, logvar=logvar, id=ids)


def start(folder, *arguments, **options):
    """A process of ``kullback``, in this folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # Triton interprets its kernels in one thread at a time, and nothing but these tests asks it to.
    environment.pop("TRITON_INTERPRET", None)
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_TASKS, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,
    )


def finish(process):
    """Its exit code and what it wrote to stderr."""
    _, said = process.communicate(timeout=300)
    return process.returncode, said


def wait_for_parts(folder, count, process):
    """Wait until so many parts are finished, or the process has ended."""
    while process.poll() is None and len(list(folder.glob(".*.kullback-parts/*/receipts/*.json"))) < count:
        time.sleep(0.001)


def content(path):
    """The bytes of a file, or of each file of a folder."""
    if path.is_dir():
        return {file.name: file.read_bytes() for file in sorted(path.iterdir())}
    return path.read_bytes()
