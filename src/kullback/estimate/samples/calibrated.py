r"""Estimates by neighbours, calibrated on Gaussians.

Neighbours alone are far too low: they see no farther than the points lie. How much too low they are on Gaussian samples
of the same sizes can be measured, on draws that are moved to have exactly the means and covariances of the samples, and
what is exact on average for Gaussians, by :mod:`.plugin`, is known: their difference is added. On Gaussian samples
this is unbiased for every number of rows, coordinates and neighbours.

Samples that are not Gaussian are first taken through one monotone map for each coordinate, which makes a normal of both
together. (Of y alone, as one might, is far worse where p and q are apart: x then lies where the map is extrapolated.)
And what the moments say is lowered by how much lower the median of the Gaussians' log-ratio is than on Gaussian draws.
"""

from dataclasses import replace

import torch
from torch import Tensor

from kullback.estimate.samples import gaussianize, neighbours, plugin
from kullback.estimate.samples.distances import TREE
from kullback.estimate.samples.plugin import sample_moments, surrogate
from kullback.estimate.samples.result import SampleEstimate, Step

# Draws that calibrate, from the number of pairs of points that each looks at.
_DRAWS, _PAIRS, _A_TREE_LOOKS_AT = (4, 16), 40_000_000, 40

# So many standard deviations apart are estimates by few and by many neighbours not by chance.
_UNEVEN = 6.0

_OTHERWISE = (
    "the samples are not Gaussian: the interval is that of chance alone, the band allows for what else may be off"
)
_ROUGH = "estimates by few and by many neighbours disagree: the samples may have narrow modes, or lie near a curve"


def of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence of what x was drawn from, from what y was; both whitened."""
    normal = gaussianize.are_normal([x, y])
    if not normal:
        mapped = gaussianize.MarginalGaussianizer([x, y])
        x, y = _pooled(mapped(x), mapped(y))
    p, q = sample_moments(x), sample_moments(y)
    some = neighbours.queried(len(x), generator)
    ks = neighbours.counts(min(len(x), len(y)) - 1)

    def seen(x: Tensor, y: Tensor) -> Tensor:
        return neighbours.divergence(x, y, ks, some, step).mean(0)

    draws, medians = [], []
    for _ in range(_draws(len(x), len(y), p.d)):
        drawn = surrogate(p, generator), surrogate(q, generator)
        draws.append(seen(*drawn))
        medians.append(plugin.log_ratio(drawn[0], p, q).median())
    by_moments, of_draws = plugin.divergence(p, q), torch.stack(draws)
    lower = torch.zeros_like(by_moments)
    if not normal:
        # The mean of the Gaussians' log-ratio is made by its tails, where it is an extrapolation; its median is not.
        # But not lower than what neighbours see of it.
        median = by_moments + plugin.log_ratio(x, p, q).median() - torch.stack(medians).mean()
        least = torch.minimum(of_draws[:, 1].mean(), by_moments)
        lower = by_moments - median.clamp(min=least, max=by_moments)
    variance = plugin.divergence_variance(x, y, p, q)
    found = _calibrated(by_moments - lower, variance, seen(x, y), of_draws, normal=normal)
    return replace(found, bias=found.bias + float(lower))


def against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence of what x was drawn from, whitened, from a density with these logarithms there."""
    normal = gaussianize.are_normal([x])
    if not normal:
        mapped = gaussianize.MarginalGaussianizer([x])
        x, log_q = mapped(x), log_q - mapped.log_slope(x)
    p = sample_moments(x)
    some = neighbours.queried(len(x), generator)
    ks = neighbours.counts(len(x) - 1)

    def seen(x: Tensor) -> Tensor:
        return -neighbours.entropy(p.standardized(x), ks, some, step).mean(0)

    draws = [seen(surrogate(p, generator)) for _ in range(_draws(len(x), 0, p.d))]
    variance = plugin.against_density_variance(log_q.detach(), x, p)
    value = -log_q.mean() - plugin.entropy(p)
    return _calibrated(value, variance, seen(x), torch.stack(draws), normal=normal)


def _pooled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """In coordinates in which the rows of both together have the identity as covariance."""
    both = sample_moments(torch.cat([x, y]))
    return both.standardized(x), both.standardized(y)


def _draws(n: int, m: int, d: int) -> int:
    """More where they cost little: their spread tells how far off the calibration is."""
    asked = min(n, neighbours.QUERIES) if n > neighbours.MANY else n
    pairs = asked * (n + m) if d > TREE else _A_TREE_LOOKS_AT * (n + m)
    return min(max(_PAIRS // pairs, _DRAWS[0]), _DRAWS[1])


def _calibrated(by_moments: Tensor, variance: Tensor, seen: Tensor, draws: Tensor, *, normal: bool) -> SampleEstimate:
    """What moments say, and what neighbours see on the samples beyond what they see on the draws.

    The band allows for twice what few and many neighbours disagree by, and for twice what was added: were the samples
    Gaussian, both would be chance.
    """
    b = len(draws)
    excess = seen - draws.mean(0)
    noise = draws[:, 1].var() * (1 + 1 / b)
    total = variance + noise
    apart = float((excess[0] - excess[2]).abs())
    by_chance = float((draws[:, 0] - draws[:, 2]).var() * (1 + 1 / b)) ** 0.5
    said = [_OTHERWISE] * (not normal) + [_ROUGH] * (apart > _UNEVEN * by_chance)
    return SampleEstimate(
        value=by_moments + excess[1],
        variance=total,
        freedom=float((b - 1) * (total / noise).square()),
        bias=2.0 * (apart + float(excess[1].abs())),
        warnings=tuple(said),
    )
