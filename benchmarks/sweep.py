"""Claim: the time of a diagonal KL grows evenly with its size: no length of a row, and no number of rows, sticks out.

Forward passes of the C library, float32, one thread: rows of 1 to 130 coordinates at 70,000 elements, and 1 to 100,000
rows of 32 coordinates. Printed are the sizes whose median time is largest beside the geometric mean of those of their
neighbours.

    python benchmarks/sweep.py
"""

import statistics
import time

import torch
from timing import machine, row

from kullback import Gaussian, kl_divergence

ELEMENTS, CALLS, RUNS = 70_000, 5, 9


def medians(shapes):
    """The median seconds of a call of each shape; all shapes in turn, so that noise meets them alike."""
    pairs = {}
    for rows, n in shapes:
        x = [torch.rand(rows, n) + 0.5 for _ in range(4)]
        pairs[rows, n] = [Gaussian.from_std(*v, validate=False) for v in (x[:2], x[2:])]
    times = {shape: [] for shape in pairs}
    for _ in range(RUNS):
        for shape, (p, q) in pairs.items():
            kl_divergence(p, q)
            start = time.perf_counter()
            for _ in range(CALLS):
                kl_divergence(p, q)
            times[shape].append((time.perf_counter() - start) / CALLS)
    return [statistics.median(found) for found in times.values()]


def table(name, shapes):
    """The five sizes whose time is largest beside the geometric mean of their neighbours'."""
    times = medians(shapes)
    beside = zip(times, times[1:], times[2:], shapes[1:-1], strict=False)
    ratios = [(b / (a * c) ** 0.5, shape) for a, b, c, shape in beside]
    print(f"\n{name}\n")
    row("rows x n", "time / that of its neighbours")
    row("---", "--:")
    for ratio, (rows, n) in sorted(ratios, reverse=True)[:5]:
        row(f"{rows} x {n}", f"{ratio:.2f}")


def main():
    print(machine())
    table("Rows of 1 to 130 coordinates, 70,000 elements", [(ELEMENTS // n, n) for n in range(1, 131)])
    counts = sorted({round(10 ** (k / 8)) for k in range(41)})
    table("1 to 100,000 rows of 32 coordinates", [(rows, 32) for rows in counts])


if __name__ == "__main__":
    main()
