"""Mixtures on the line and in space, and quadrature."""

import torch

from kullback import Gaussian, Mixture

FINE = torch.linspace(-30, 30, 400_001, dtype=torch.float64)


def quadrature(p, q):
    """Of two densities on the line."""
    log_p, log_q = (torch.as_tensor(g.log_prob(FINE[:, None])) for g in (p, q))
    return torch.trapezoid(torch.where(log_p > -600, log_p.exp() * (log_p - log_q), 0.0), FINE)


def line(weights, means, stds):
    return Mixture(
        torch.tensor(weights, dtype=torch.float64),
        Gaussian.from_std(*(torch.tensor(x, dtype=torch.float64)[:, None] for x in (means, stds))),
    )


PAIRS = {
    "near": (line([0.5, 0.5], [-1, 1], [1, 1]), Gaussian.from_std([0.0], [1.5])),
    "apart": (line([0.2, 0.8], [-3, 2], [0.3, 1]), line([0.5, 0.5], [-2, 2], [1, 2])),
    "narrow": (line([0.9, 0.1], [0, 4], [1, 0.01]), Gaussian.from_std([0.0], [2.0])),
    "three of odd weights": (line([1, 2, 4], [0, 1, 5], [1, 0.5, 2]), line([1, 1, 1], [0, 2, 4], [1, 1, 1])),
}


# For k3 of a pair where q / p has a variance.
NEAR = Gaussian.from_std([0.0], [1.2]), Gaussian.from_std([0.1], [1.1])


def random_mixture(g, k, d, spread, kind="std"):
    mean = spread * torch.randn(k, d, generator=g, dtype=torch.float64)
    std = torch.rand(k, d, generator=g, dtype=torch.float64) + 0.3
    if kind == "covariance":
        noise = torch.randn(k, d, d, generator=g, dtype=torch.float64) / d**0.5
        components = Gaussian.from_covariance(mean, noise @ noise.mT + (std**2).diag_embed())
    else:
        components = Gaussian.from_std(mean, std)
    return Mixture(torch.rand(k, generator=g, dtype=torch.float64) + 0.05, components)
