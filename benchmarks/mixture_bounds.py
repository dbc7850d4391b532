"""Claim: the bounds of kl_bounds hold, and are narrower than the published ones; approximations are not that near.

Random pairs of mixtures (1 to 64 coordinates, 1 to 200 components, from overlapping to far apart). The published bounds
are, for each pair, the better of Hershey and Olsen's and of Durrieu's upper bound, and Durrieu's lower one or 0. A
bound is violated if an estimate lies beyond it by more than four of its standard errors. And how far the approximations
by name are off, relative to the estimates, for all pairs and for those of 32 coordinates and more.

    python benchmarks/mixture_bounds.py [pairs]
"""

import statistics
import sys

import torch
from timing import machine, row

from kullback import Gaussian, Mixture, approximations, kl_bounds, kl_estimate
from kullback.estimate.bounds import _by_convexity
from kullback.estimate.pairs import divergences, for_each_pair, log_integrals

APPROXIMATIONS = ("unscented", "variational", "matched", "product", "moment_matched")


def mixture(g, k, d, spread):
    mean = spread * torch.randn(k, d, generator=g, dtype=torch.float64)
    std = torch.rand(k, d, generator=g, dtype=torch.float64) + 0.3
    return Mixture(torch.rand(k, generator=g, dtype=torch.float64) + 0.05, Gaussian.from_std(mean, std))


def published(f, g):
    between, within = divergences(f, g), divergences(f, f)

    def product(side):
        one = torch.ones_like(f.weights)
        integrals = log_integrals(f, side, one, one)
        return (f.weights * torch.logsumexp(side.log_weights + integrals, -1)).sum()

    def variational(side, apart):
        return (f.weights * (torch.logsumexp(side.log_weights - apart, -1) - f.entropies)).sum()

    upper = torch.minimum(_by_convexity(f, g, between), product(f) - variational(g, between))
    return (variational(f, within) - product(g)).clamp(min=0.0), upper


def main(pairs):
    print(machine(2), "\n")
    violated, widths, theirs, narrower = 0, [], [], 0
    off = {name: [] for name in APPROXIMATIONS}
    for seed in range(pairs):
        g = torch.Generator().manual_seed(seed)
        d, k, m = (int(torch.randint(1, n, (1,), generator=g)) for n in (65, 201, 201))
        spread = 3.0 * float(torch.rand(1, generator=g)) / d**0.25
        p, q = mixture(g, k, d, spread), mixture(g, m, d, spread)
        ours, known = kl_bounds(p, q), for_each_pair(p, q, published)
        estimate = kl_estimate(p, q, n=2**14, seed=0)
        reach = 4.0 * estimate.standard_error
        violated += not bool(ours.lower - reach <= estimate.value <= ours.upper + reach)
        for bounds, into in ((ours, widths), (known, theirs)):
            into.append(float((bounds[1] - bounds[0]) / estimate.value))
        narrower += widths[-1] <= theirs[-1] * (1 + 1e-9)
        for name, errors in off.items():
            errors.append((d, float(getattr(approximations, name)(p, q) / estimate.value) - 1))
    row("pairs", "violated", "median width / divergence", "published", "no wider than published")
    row("--:", "--:", "--:", "--:", "--:")
    row(pairs, violated, f"{statistics.median(widths):.2f}", f"{statistics.median(theirs):.2f}", narrower)
    print()
    row("approximation", "median error", "95th percentile", "lowest", "highest", "median, d ≥ 32", "highest, d ≥ 32")
    row("---", *["--:"] * 6)
    for name, errors in off.items():
        every, high = [e for _, e in errors], [e for d, e in errors if d >= 32] or [0.0]
        sizes = sorted(abs(e) for e in every)
        figures = statistics.median(sizes), sizes[int(0.95 * len(sizes))], min(every), max(every)
        row(name, *(f"{100 * x:+.1f} %" for x in (*figures, statistics.median(map(abs, high)), max(high))))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
