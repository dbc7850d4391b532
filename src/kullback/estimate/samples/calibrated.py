r"""Nearest-neighbour estimates, calibrated on Gaussian samples.

Nearest-neighbour estimates of a divergence are far too low where samples are sparse: no distance shows how small q is
between its samples. How much too low they are can be measured on Gaussian samples of the same sizes, drawn and then
transformed to have exactly the means and covariances of the given samples. The estimate is the plug-in estimate for
Gaussians (:mod:`.plugin`), which is unbiased for them, plus the neighbour estimate on the given samples, minus its mean
on the Gaussian ones. On Gaussian samples this is unbiased for every number of rows, coordinates and neighbours.

Samples that are not Gaussian are first transformed by one monotone map per coordinate that makes the marginal of p and
q together normal. (A map that makes the marginal of q alone normal is far worse where p and q are apart: it would be
extrapolated to the samples of p.) And the plug-in estimate is lowered by the difference between the median of the
Gaussians' log-ratio on Gaussian samples and its median on the given ones.
"""

from dataclasses import replace

import torch
from torch import Tensor

from kullback.estimate.samples import gaussianize, neighbours, plugin
from kullback.estimate.samples.distances import MAX_TREE_COORDINATES
from kullback.estimate.samples.plugin import sample_moments, surrogate
from kullback.estimate.samples.result import SampleEstimate, Step

# The fewest and the most Gaussian samples that calibrate; about how many pairs of points all of them look at together;
# and how many points the search of a tree looks at for each query.
_FEWEST_SURROGATES, _MOST_SURROGATES = 4, 16
_PAIRS, _PAIRS_OF_A_TREE_QUERY = 40_000_000, 40

# Estimates by few and by many neighbours differ by more than this many standard deviations only if there is a bias.
_DISAGREEMENT = 6.0

_NOT_GAUSSIAN = (
    "the samples are not Gaussian: the 95 % interval covers sampling error only; the band also allows for bias"
)
_DISAGREE = (
    "estimates by few and by many neighbours disagree: the samples may have narrow modes, or be concentrated near a "
    "curve or surface"
)


def of_samples(x: Tensor, y: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence of the density that x was drawn from, from the one that y was drawn from.

    Args:
        x: whitened rows ``(n, d)``.
        y: whitened rows ``(m, d)``.
        generator: of the Gaussian samples, and of the choice of query points.
        step: called after each search for neighbours.
    """
    normal = gaussianize.are_normal([x, y])
    if not normal:
        transform = gaussianize.MarginalGaussianizer([x, y])
        x, y = _whitened_together(transform(x), transform(y))
    p, q = sample_moments(x), sample_moments(y)
    queries = neighbours.query_rows(len(x), generator)
    ks = neighbours.neighbour_numbers(min(len(x), len(y)) - 1)

    def knn_estimates(x: Tensor, y: Tensor) -> Tensor:
        return neighbours.divergence(x, y, ks, queries, step).mean(0)

    estimates, medians = [], []
    for _ in range(_n_surrogates(len(x), len(y), p.d)):
        surrogate_x, surrogate_y = surrogate(p, generator), surrogate(q, generator)
        estimates.append(knn_estimates(surrogate_x, surrogate_y))
        medians.append(plugin.log_ratio(surrogate_x, p, q).median())
    plugin_estimate, on_surrogates = plugin.divergence(p, q), torch.stack(estimates)
    correction = torch.zeros_like(plugin_estimate)
    if not normal:
        # The mean of the Gaussians' log-ratio is dominated by its tails, where Gaussians are an extrapolation; its
        # median is not. The estimate is not lowered below what the neighbour estimate shows on Gaussian samples.
        median = plugin_estimate + plugin.log_ratio(x, p, q).median() - torch.stack(medians).mean()
        least = torch.minimum(on_surrogates[:, 1].mean(), plugin_estimate)
        correction = plugin_estimate - median.clamp(min=least, max=plugin_estimate)
    variance = plugin.divergence_variance(x, y, p, q)
    on_samples = knn_estimates(x, y)
    estimate = _calibrated(plugin_estimate - correction, variance, on_samples, on_surrogates, normal=normal)
    return replace(estimate, bias_allowance=estimate.bias_allowance + float(correction))


def against_density(x: Tensor, log_q: Tensor, generator: torch.Generator, step: Step) -> SampleEstimate:
    """The divergence of the density that x was drawn from, from a density q.

    Args:
        x: whitened rows ``(n, d)``.
        log_q: the log-density of q at these rows, in the whitened coordinates, ``(n,)``.
        generator: of the Gaussian samples, and of the choice of query points.
        step: called after each search for neighbours.
    """
    normal = gaussianize.are_normal([x])
    if not normal:
        transform = gaussianize.MarginalGaussianizer([x])
        x, log_q = transform(x), log_q - transform.log_slope(x)
    p = sample_moments(x)
    queries = neighbours.query_rows(len(x), generator)
    ks = neighbours.neighbour_numbers(len(x) - 1)

    def knn_estimates(x: Tensor) -> Tensor:
        return -neighbours.entropy(p.standardized(x), ks, queries, step).mean(0)

    on_surrogates = torch.stack([knn_estimates(surrogate(p, generator)) for _ in range(_n_surrogates(len(x), 0, p.d))])
    variance = plugin.against_density_variance(log_q.detach(), x, p)
    plugin_estimate = -log_q.mean() - plugin.entropy(p)
    return _calibrated(plugin_estimate, variance, knn_estimates(x), on_surrogates, normal=normal)


def _whitened_together(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The rows in coordinates in which all rows together have the identity as covariance."""
    both = sample_moments(torch.cat([x, y]))
    return both.standardized(x), both.standardized(y)


def _n_surrogates(n: int, m: int, d: int) -> int:
    """The number of Gaussian samples that calibrate: more where a search is cheap, since their spread is an error."""
    queries = min(n, neighbours.QUERIES) if n > neighbours.ALL_QUERIED else n
    pairs = queries * (n + m) if d > MAX_TREE_COORDINATES else _PAIRS_OF_A_TREE_QUERY * (n + m)
    return min(max(_PAIRS // pairs, _FEWEST_SURROGATES), _MOST_SURROGATES)


def _calibrated(
    plugin_estimate: Tensor, variance: Tensor, on_samples: Tensor, on_surrogates: Tensor, *, normal: bool
) -> SampleEstimate:
    """The plug-in estimate plus the excess of the neighbour estimate on the samples over its mean on Gaussian samples.

    The band allows for twice that excess, and for twice the difference between the excess by few and by many
    neighbours: for Gaussian samples both would be sampling error.

    Args:
        plugin_estimate: the estimate for Gaussians.
        variance: its variance.
        on_samples: the estimates by few, the usual number and many neighbours on the samples, ``(3,)``.
        on_surrogates: the same on each of b Gaussian samples, ``(b, 3)``.
        normal: whether the samples pass for Gaussian.
    """
    b = len(on_surrogates)
    excess = on_samples - on_surrogates.mean(0)
    calibration_variance = on_surrogates[:, 1].var() * (1 + 1 / b)
    total = variance + calibration_variance
    disagreement = float((excess[0] - excess[2]).abs())
    sampling_error = float((on_surrogates[:, 0] - on_surrogates[:, 2]).var() * (1 + 1 / b)) ** 0.5
    warnings = [_NOT_GAUSSIAN] * (not normal) + [_DISAGREE] * (disagreement > _DISAGREEMENT * sampling_error)
    return SampleEstimate(
        value=plugin_estimate + excess[1],
        variance=total,
        # Of the sum of two variances of which only the second is estimated from few values (Welch and Satterthwaite).
        degrees_of_freedom=float((b - 1) * (total / calibration_variance).square()),
        bias_allowance=2.0 * (disagreement + float(excess[1].abs())),
        warnings=tuple(warnings),
    )
