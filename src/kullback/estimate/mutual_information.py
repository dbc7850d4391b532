"""How much a representation says of what it represents."""

import math
from typing import Any

from kullback.estimate.averaging import Settings, averages, estimate
from kullback.estimate.densities import log_density
from kullback.estimate.result import Estimate
from kullback.gaussians.mixture import Mixture
from kullback.interop.registry import as_gaussian

# Within so much of its bound it is the bound that is seen.
_SATURATED = 0.05


def mutual_information_estimate(
    posteriors: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the mutual information of inputs and latents, with its error, from an encoder's posteriors.

    .. math:: I(x; z) = \frac1N \sum_{i=1}^N D(q_i \,\|\, \bar q), \qquad \bar q = \frac1N \sum_{i=1}^N q_i ,

    over the N inputs given, each as likely as any other; between 0, where all posteriors are one, and :math:`\log N`,
    where no two overlap. The mean divergence from a prior, the rate, is this and the divergence of the aggregated
    posterior from the prior: ``kl_divergence(posteriors, prior).mean()`` is ``mutual_information(posteriors)`` and
    ``kl_estimate(Mixture.aggregate(posteriors), prior)``.

    Points of the aggregated posterior are drawn by scrambled Sobol sequences, and at each the log-density of the
    posterior that it is of less that of all of them is averaged: where posteriors do not overlap that is constant.

    Shape:
        A number, in nats. Time grows with N times the number of points.
    Gradient:
        Flows to the posteriors.

    Args:
        posteriors: a batch of Gaussians of shape ``(N,)``; whatever :func:`kl_divergence` takes.
        tolerance: as for :func:`kl_estimate`.
        n: as for :func:`kl_estimate`.
        seed: as for :func:`kl_estimate`.

    Raises:
        ShapeError: unless there is one batch dimension.

    Reference:
        M. D. Hoffman and M. J. Johnson, ELBO surgery: yet another way to carve up the variational evidence lower bound,
        NIPS Workshop on Advances in Approximate Bayesian Inference, 2016.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, mutual_information_estimate
        >>> apart = Gaussian.from_std(torch.tensor([[0.0], [100.0]]), torch.ones(2, 1))
        >>> found = mutual_information_estimate(apart, n=1024, seed=0)
        >>> round(float(found.value), 6), "log N" in found.warnings[0]
        (0.693147, True)
    """
    settings, g = Settings(tolerance, n, seed), as_gaussian(posteriors, "posteriors")
    aggregate = Mixture.aggregate(g)
    mean = averages([(aggregate, lambda x, own: own - log_density(aggregate, x))], settings, 0)
    limit = math.log(len(g))
    full = (
        f"the most that {len(g):,} inputs can show is log N = {limit:.4g} nats, and this is nearly that: the "
        "posteriors hardly overlap, and more inputs would show more"
    )
    saturated = len(g) > 1 and float(mean.value().detach()) > limit - _SATURATED
    return estimate(mean, (aggregate,), settings, "k1", [full if saturated else None])


mutual_information = mutual_information_estimate
"""The former name of :func:`mutual_information_estimate`."""
