"""Claim: the bounds of kl_bounds hold, and are narrower than the published ones.

Random pairs of mixtures (1 to 64 coordinates, 1 to 200 components, from overlapping to far apart). The published bounds
are, for each pair, the better of Hershey and Olsen's and of Durrieu's upper bound, and Durrieu's lower one or 0. A
bound is violated if an estimate lies beyond it by more than four of its standard errors.

    python benchmarks/mixture_bounds.py [pairs]
"""

import statistics
import sys

import torch
from timing import machine, row

from kullback import Gaussian, Mixture, kl_bounds, kl_estimate
from kullback.estimate.component_bounds import by_convexity
from kullback.estimate.mixture_arrays import divergences, log_integrals, map_batch


def mixture(g, k, d, spread):
    mean = spread * torch.randn(k, d, generator=g, dtype=torch.float64)
    std = torch.rand(k, d, generator=g, dtype=torch.float64) + 0.3
    return Mixture(torch.rand(k, generator=g, dtype=torch.float64) + 0.05, Gaussian.from_std(mean, std))


def pair(seed):
    g = torch.Generator().manual_seed(seed)
    d, k, m = (int(torch.randint(1, n, (1,), generator=g)) for n in (65, 201, 201))
    spread = 3.0 * float(torch.rand(1, generator=g)) / d**0.25
    return mixture(g, k, d, spread), mixture(g, m, d, spread)


def published(f, g):
    between, within = divergences(f, g), divergences(f, f)

    def product(side):
        one = torch.ones_like(f.weights)
        integrals = log_integrals(f, side, one, one)
        return (f.weights * torch.logsumexp(side.log_weights[:, None] + integrals, -1)).sum(-1)

    def variational(side, apart):
        return (f.weights * (torch.logsumexp(side.log_weights[:, None] - apart, -1) - f.entropies)).sum(-1)

    upper = torch.minimum(by_convexity(f, g, between), product(f) - variational(g, between))
    return (variational(f, within) - product(g)).clamp(min=0.0), upper


def main(pairs):
    print(machine(2), "\n")
    violated, widths, theirs, narrower = 0, [], [], 0
    for seed in range(pairs):
        p, q = pair(seed)
        ours, known = kl_bounds(p, q), map_batch(p, q, published)
        estimate = kl_estimate(p, q, n=2**14, seed=0)
        reach = 4.0 * estimate.standard_error
        violated += not bool(ours.lower - reach <= estimate.value <= ours.upper + reach)
        for bounds, into in ((ours, widths), (known, theirs)):
            into.append(float((bounds[1] - bounds[0]) / estimate.value))
        narrower += widths[-1] <= theirs[-1] * (1 + 1e-9)
    row("pairs", "violated", "median width / divergence", "published", "no wider than published")
    row("--:", "--:", "--:", "--:", "--:")
    row(pairs, violated, f"{statistics.median(widths):.2f}", f"{statistics.median(theirs):.2f}", narrower)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
