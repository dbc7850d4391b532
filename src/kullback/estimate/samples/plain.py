"""The two things that the default is made of, alone: what moments say, and what neighbours say."""

import math

import torch
from torch import Tensor

from kullback.estimate.samples import gaussian, neighbours
from kullback.estimate.samples.found import Found, Step
from kullback.estimate.samples.gaussian import moments_of
from kullback.estimate.samples.neighbours import K


def gaussian_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> Found:
    """The unbiased divergence of Gaussians with the samples' means and covariances."""
    p, q = moments_of(x), moments_of(y)
    with torch.no_grad():
        variance = gaussian.divergence_variance(x, y, p, q)
    return Found(gaussian.divergence(p, q), variance, math.inf, 0.0)


def gaussian_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> Found:
    """The same, of a Gaussian with the samples' mean and covariance from a density."""
    p = moments_of(x)
    with torch.no_grad():
        variance = gaussian.against_density_variance(log_q, x, p)
    return Found(-log_q.mean() - gaussian.entropy(p), variance, math.inf, 0.0)


def neighbours_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> Found:
    """The divergence of Wang, Kulkarni and Verdú."""
    some = neighbours.queried(len(x), generator)
    return _mean(neighbours.divergence(x, y, (min(K, len(x) - 1, len(y) - 1),), some, step))


def neighbours_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> Found:
    """The mean of -log q less the entropy of Kozachenko and Leonenko."""
    some = neighbours.queried(len(x), generator)
    return _mean(-log_q[some, None] - neighbours.entropy(x, (min(K, len(x) - 1),), some, step))


def _mean(values: Tensor) -> Found:
    return Found(values.mean(), values.detach().var() / len(values), math.inf, 0.0)
