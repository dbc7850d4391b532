"""The two parts of the default method alone: plug-in estimates for Gaussians, and nearest neighbours."""

import math

import torch
from torch import Tensor

from kullback.estimate.samples import neighbours, plugin
from kullback.estimate.samples.neighbours import K
from kullback.estimate.samples.plugin import sample_moments
from kullback.estimate.samples.result import SampleEstimate, Step


def gaussian_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The unbiased estimate of the divergence of two Gaussians from their samples. Differentiable."""
    p, q = sample_moments(x), sample_moments(y)
    with torch.no_grad():
        variance = plugin.divergence_variance(x, y, p, q)
    return SampleEstimate(plugin.divergence(p, q), variance, math.inf, 0.0)


def gaussian_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The unbiased estimate of the divergence of a Gaussian, from its samples, from a density. Differentiable."""
    p = sample_moments(x)
    with torch.no_grad():
        variance = plugin.against_density_variance(log_q, x, p)
    return SampleEstimate(-log_q.mean() - plugin.entropy(p), variance, math.inf, 0.0)


def neighbours_of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence estimate of Wang, Kulkarni and Verdú."""
    queries = neighbours.query_rows(len(x), generator)
    return _mean(neighbours.divergence(x, y, (min(K, len(x) - 1, len(y) - 1),), queries, step))


def neighbours_against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The mean of -log q over the samples minus the entropy estimate of Kozachenko and Leonenko."""
    queries = neighbours.query_rows(len(x), generator)
    return _mean(-log_q[queries, None] - neighbours.entropy(x, (min(K, len(x) - 1),), queries, step))


def _mean(terms: Tensor) -> SampleEstimate:
    return SampleEstimate(terms.mean(), terms.detach().var() / len(terms), math.inf, 0.0)
