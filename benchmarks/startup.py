"""Claim: kullback starts at once: little beside torch, and ``--help`` without it.

Whole processes, alternating: medians of milliseconds.

    python benchmarks/startup.py
"""

import statistics
import subprocess
import sys
import time

from timing import machine, row

COMMANDS = {
    "python -c 'import torch'": ["-c", "import torch"],
    "… and a first kl_divergence of kullback": [
        "-c",
        "import torch; from kullback import Gaussian, kl_divergence; "
        "kl_divergence(Gaussian.from_std([0.0], [1.0]), Gaussian.standard(1))",
    ],
    "… and import kullback": ["-c", "import torch, kullback"],
    "kullback --help": ["-m", "kullback", "--help"],
    "python -c ''": ["-c", ""],
}


def main() -> None:
    print(machine(), "\n")
    taken: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(9):
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
            taken[name].append(1e3 * (time.perf_counter() - start))
    row("process", "ms")
    row("---", "--:")
    for name, times in taken.items():
        row(f"`{name}`" if "…" not in name else name, f"{statistics.median(times):.0f}")


if __name__ == "__main__":
    main()
