"""Estimates of the mutual information of inputs and their representations."""

import math
from typing import Any

from kullback.estimate.averaging import Settings, mean_of_averages, to_estimate
from kullback.estimate.densities import log_density
from kullback.estimate.result import Estimate
from kullback.gaussians.mixture import Mixture
from kullback.interop.registry import as_gaussian

# An estimate less than this below log N, in nats, is limited by the number of inputs.
_SATURATION_MARGIN = 0.05


def mutual_information_estimate(
    posteriors: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the mutual information of inputs and latent variables, with its error, from all posteriors.

    .. math:: I(x; z) = \frac1N \sum_{i=1}^N D(q_i \,\|\, \bar q), \qquad \bar q = \frac1N \sum_{i=1}^N q_i ,

    over the given N inputs with equal weights. It is between 0, where all posteriors are equal, and :math:`\log N`,
    where no two overlap. The mean divergence from a prior, the rate, is the sum of the mutual information and of the
    divergence of the aggregated posterior from the prior: up to the errors of the two estimates,
    ``kl_divergence(posteriors, prior).mean()`` is
    ``mutual_information_estimate(posteriors).value + kl_estimate(Mixture.aggregate(posteriors), prior).value``.

    Points of the aggregated posterior are drawn from scrambled Sobol sequences, as for :func:`kl_estimate`. The
    log-density of the posterior that a point was drawn from, minus that of the aggregated posterior, is averaged; it is
    constant where posteriors do not overlap.

    Shape:
        A single number. Time grows with N times the number of points.
    Units:
        Nats.
    Gradient:
        Flows to the posteriors.

    Args:
        posteriors: a batch of Gaussians of shape ``(N,)``, or of anything else that :func:`kl_divergence` takes.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points, rounded up to 16 × 2^k, or to that for each component; 65,536 by default.
        seed: the same seed gives the same points.

    Returns:
        An :class:`Estimate`.

    Raises:
        ShapeError: if the posteriors do not have exactly one batch dimension.
        ValueError: for a log-density that is NaN.

    Reference:
        M. D. Hoffman and M. J. Johnson, ELBO surgery: yet another way to carve up the variational evidence lower bound,
        NIPS Workshop on Advances in Approximate Bayesian Inference, 2016.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, mutual_information_estimate
        >>> apart = Gaussian.from_std(torch.tensor([[0.0], [100.0]]), torch.ones(2, 1))
        >>> estimate = mutual_information_estimate(apart, n=1024, seed=0)
        >>> round(float(estimate.value), 6), "log N" in estimate.warnings[0]
        (0.693147, True)
    """
    settings, g = Settings(tolerance, n, seed), as_gaussian(posteriors, "posteriors")
    aggregate = Mixture.aggregate(g)
    expectation = (aggregate, lambda x, log_posterior: log_posterior - log_density(aggregate, x))
    mean = mean_of_averages([expectation], settings, 0)
    limit = math.log(len(g))
    saturation = (
        f"the estimate is close to log N = {limit:.4g} nats, the largest value that {len(g):,} inputs can show: the "
        "posteriors hardly overlap, and more inputs would give a larger value"
    )
    saturated = len(g) > 1 and float(mean.value().detach()) > limit - _SATURATION_MARGIN
    return to_estimate(mean, (aggregate,), settings, "k1", [saturation if saturated else None])


mutual_information = mutual_information_estimate
"""The former name of :func:`mutual_information_estimate`."""
