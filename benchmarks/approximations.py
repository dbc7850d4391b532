"""Claim: approximations of the divergence of mixtures that have names are off by tens of per cent, in either direction.

The random pairs of mixture_bounds.py (1 to 64 coordinates, 1 to 200 components, from overlapping to far apart); how far
each approximation is from an estimate, relative to it.

    python benchmarks/approximations.py [pairs]
"""

import statistics
import sys

from mixture_bounds import pair
from timing import machine, row

from kullback import approximations, kl_estimate

NAMES = ("unscented", "variational", "matched", "product", "moment_matched")


def main(pairs):
    print(machine(2), "\n")
    off = {name: [] for name in NAMES}
    for seed in range(pairs):
        p, q = pair(seed)
        estimate = kl_estimate(p, q, n=2**13, seed=0).value
        for name, errors in off.items():
            errors.append(float(getattr(approximations, name)(p, q) / estimate) - 1)
    print(f"{pairs} pairs\n")
    row("approximation", "median error", "95th percentile", "lowest", "highest")
    row("---", *["--:"] * 4)
    for name, errors in off.items():
        sizes = sorted(map(abs, errors))
        figures = f"{100 * statistics.median(sizes):.0f} %", f"{100 * sizes[int(0.95 * len(sizes))]:.0f} %"
        row(name, *figures, *(f"{100 * x:+.0f} %" for x in (min(errors), max(errors))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
