"""The two things that the default is made of, alone: what moments say, and what neighbours say."""

import math

import torch
from torch import Tensor

from kullback.estimate.samples import neighbours, plugin
from kullback.estimate.samples.neighbours import K
from kullback.estimate.samples.plugin import sample_moments
from kullback.estimate.samples.result import SampleEstimate, Step


def gaussian_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The unbiased divergence of Gaussians with the samples' means and covariances."""
    p, q = sample_moments(x), sample_moments(y)
    with torch.no_grad():
        variance = plugin.divergence_variance(x, y, p, q)
    return SampleEstimate(plugin.divergence(p, q), variance, math.inf, 0.0)


def gaussian_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The same, of a Gaussian with the samples' mean and covariance from a density."""
    p = sample_moments(x)
    with torch.no_grad():
        variance = plugin.against_density_variance(log_q, x, p)
    return SampleEstimate(-log_q.mean() - plugin.entropy(p), variance, math.inf, 0.0)


def neighbours_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence of Wang, Kulkarni and Verdú."""
    some = neighbours.queried(len(x), generator)
    return _mean(neighbours.divergence(x, y, (min(K, len(x) - 1, len(y) - 1),), some, step))


def neighbours_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The mean of -log q less the entropy of Kozachenko and Leonenko."""
    some = neighbours.queried(len(x), generator)
    return _mean(-log_q[some, None] - neighbours.entropy(x, (min(K, len(x) - 1),), some, step))


def _mean(values: Tensor) -> SampleEstimate:
    return SampleEstimate(values.mean(), values.detach().var() / len(values), math.inf, 0.0)
