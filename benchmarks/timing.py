"""What the speed benchmarks share: alternating runs in one process, medians with their spread, the machine in words."""

import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch

import kullback
from kullback.kernels import native_kernel, use


def machine(threads: int = 1) -> str:
    """The machine and the versions that the figures hold for; torch is set to this many threads."""
    torch.set_num_threads(threads)
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.processor())
    return (
        f"{cpu}, {native_kernel.instructions()}, {threads} thread(s), torch {torch.__version__}, kullback "
        f"{kullback.__version__}, Python {platform.python_version()}"
    )


def alternating(functions: dict[str, Callable[[], object]], seconds: float = 1.5) -> dict[str, list[float]]:
    """Seconds of each call, one after the other in turn, until the time is up; at least five rounds of each."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    inner = {name: repetitions(f) for name, f in functions.items()}
    started = time.perf_counter()
    while time.perf_counter() - started < seconds * len(functions) or min(map(len, taken.values())) < 5:
        for name, f in functions.items():
            start = time.perf_counter()
            for _ in range(inner[name]):
                f()
            taken[name].append((time.perf_counter() - start) / inner[name])
    return taken


def repetitions(f: Callable[[], object]) -> int:
    """How many calls take about two milliseconds, after one to warm up."""
    f()
    start = time.perf_counter()
    f()
    return max(1, int(2e-3 / max(time.perf_counter() - start, 1e-7)))


def ratio(peer: list[float], ours: list[float]) -> str:
    """How many times faster, of medians, with the range of the quartiles."""
    a, b = statistics.quantiles(peer, n=4), statistics.quantiles(ours, n=4)
    return f"{a[1] / b[1]:.1f} ({a[0] / b[2]:.1f}–{a[2] / b[0]:.1f})"


def by(name: str, f: Callable[[], object]) -> Callable[[], object]:
    """The same call, by one backend of the kernels."""

    def call() -> object:
        with use(name):
            return f()

    return call


def row(*cells: object) -> None:
    """One line of a table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)
    sys.stdout.flush()
