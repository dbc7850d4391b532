"""Claim: as a loss, mixture_prior_kl has smaller gradient noise than the log-ratio at as many points.

The relative error of the gradient, the root of the mean over repetitions of |gradient - truth|² / |truth|², of the mean
over a batch of 32 posteriors against a prior of ten components in 16 coordinates; the truth is that of a long
randomized quasi-Monte Carlo average. And the time of a step with gradients, also of kl_estimate as it is by default.

    python benchmarks/mixture_prior.py [repetitions]
"""

import statistics
import sys

import torch
from timing import alternating, machine, row

from kullback import Gaussian, Mixture, kl_estimate
from kullback.losses import mixture_prior_kl

# Spread of the means of posteriors and components, and the standard deviation of the posteriors; components have 1.
CASES = {
    "posteriors as wide as components": (1.0, 1.0),
    "narrow posteriors, components overlap": (1.0, 0.3),
    "narrow posteriors, components apart": (3.0, 0.3),
    "all components together": (0.3, 1.0),
}


def log_ratio(q, prior, n):
    x = q.sample(n)
    return (q.log_prob(x) - prior.log_prob(x)).mean(0)


METHODS = {
    "log-ratio, n=16": lambda q, prior: log_ratio(q, prior, 16),
    "kl_estimate, n=64": lambda q, prior: kl_estimate(q, prior, n=64).value,
    "mixture_prior_kl, n=16": lambda q, prior: mixture_prior_kl(q, prior, n=16),
}


def gradients_of(spread, std):
    """A function from a method to the gradients of the mean: by means and scales of posteriors, means of the prior."""
    start = spread * torch.randn(32, 16), torch.full((32, 16), std).log(), spread * torch.randn(10, 16)
    leaves = [x.requires_grad_() for x in start]

    def gradients(method):
        q, components = Gaussian.from_log_std(leaves[0], leaves[1]), Gaussian.from_std(leaves[2], 1.0)
        return torch.autograd.grad(method(q, Mixture(torch.ones(10), components)).mean(), leaves)

    return gradients


def main(repetitions):
    print(machine(1), "\n")
    torch.manual_seed(0)
    row("relative error of the gradient", "", "posterior means", "posterior scales", "prior means")
    row("---", "---", *["--:"] * 3)
    for name, case in CASES.items():
        gradients = gradients_of(*case)
        truth = gradients(lambda q, prior: kl_estimate(q, prior, n=2**18, seed=0).value)
        for label, method in METHODS.items():
            found = [gradients(method) for _ in range(repetitions)]
            squares = [torch.stack([(x[i] - truth[i]).square().sum() for x in found]).mean() for i in range(3)]
            errors = [100 * float(x.sqrt() / truth[i].norm()) for i, x in enumerate(squares)]
            row(name, label, *(f"{x:.0f} %" for x in errors))
    print()
    row("a step with gradients", "ms")
    row("---", "--:")
    gradients = gradients_of(1.0, 1.0)
    every = METHODS | {"kl_estimate by default": lambda q, prior: kl_estimate(q, prior).value}
    calls = {label: (lambda method=method: gradients(method)) for label, method in every.items()}
    for label, taken in alternating(calls).items():
        row(label, f"{1e3 * statistics.median(taken):,.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
