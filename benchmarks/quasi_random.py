"""Claim: randomized quasi-Monte Carlo needs far fewer points than independent draws, and its intervals hold.

For each pair, over 200 seeds: how many times more independent points have the same variance (the variance of log p -
log q under p over n times that of the estimates), and how often the 95 % interval holds the truth: a closed form, or
the mean of all estimates for mixtures, whose own error is fourteen times smaller.

    python benchmarks/quasi_random.py
"""

import statistics

import torch
from timing import machine, row

from kullback import Gaussian, Mixture, kl_divergence, kl_estimate

POINTS, SEEDS = 2**14, 200


def gaussians(d, shift, ratio):
    zero, one = torch.zeros(d, dtype=torch.float64), torch.ones(d, dtype=torch.float64)
    return Gaussian.from_std(zero, one), Gaussian.from_std(zero + shift, one * ratio)


def mixtures(d, k, m, spread):
    g = torch.Generator().manual_seed(d)

    def draw(size):
        mean = spread * torch.randn(size, d, generator=g, dtype=torch.float64)
        std = torch.rand(size, d, generator=g, dtype=torch.float64) + 0.3
        return Mixture(torch.rand(size, generator=g, dtype=torch.float64) + 0.05, Gaussian.from_std(mean, std))

    return draw(k), draw(m)


def full(d):
    g = torch.Generator().manual_seed(d)
    noise = torch.randn(2, d, d, generator=g, dtype=torch.float64) / d**0.5
    mean = torch.randn(2, d, generator=g, dtype=torch.float64)
    return tuple(Gaussian.from_covariance(m, x @ x.mT + torch.eye(d)) for m, x in zip(mean, noise, strict=True))


CASES = {
    "Gaussians, d = 1": lambda: gaussians(1, 1.0, 1.5),
    "Gaussians, d = 4": lambda: gaussians(4, 1.0, 1.5),
    "Gaussians, d = 16": lambda: gaussians(16, 0.5, 1.2),
    "Gaussians, d = 64": lambda: gaussians(64, 0.2, 1.1),
    "full covariances, d = 8": lambda: full(8),
    "mixtures of 3 and 4, d = 1": lambda: mixtures(1, 3, 4, 2.0),
    "mixtures of 5 and 5, d = 4": lambda: mixtures(4, 5, 5, 1.0),
    "mixtures of 20 and 10, d = 16": lambda: mixtures(16, 20, 10, 1.0),
    "mixtures of 5,000 and 5, d = 2": lambda: mixtures(2, 5000, 5, 1.0),
}


def main():
    print(machine(2), "\n")
    row("pair", "divergence", "points saved", "intervals that hold the truth")
    row("---", "--:", "--:", "--:")
    for name, make in CASES.items():
        p, q = make()
        found = [kl_estimate(p, q, n=POINTS, seed=seed) for seed in range(SEEDS)]
        values = [float(e.value) for e in found]
        exact = isinstance(p, Gaussian)
        truth = float(kl_divergence(p, q)) if exact else statistics.mean(values)
        x = p.sample(2**17, generator=torch.Generator().manual_seed(0))
        plain = float((p.log_prob(x) - q.log_prob(x)).var()) / found[0].n
        held = statistics.mean(bool(e.interval[0] <= truth <= e.interval[1]) for e in found)
        row(name, f"{truth:.3f}", f"{plain / statistics.variance(values):.0f} ×", f"{100 * held:.0f} %")


if __name__ == "__main__":
    main()
