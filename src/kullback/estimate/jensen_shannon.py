"""Estimates of the Jensen–Shannon divergence, which has no closed form for Gaussians, as the mean of two averages."""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.averaging import (
    Settings,
    as_drawn,
    batch_dims,
    mean_of_averages,
    of_log_densities,
    to_estimate,
)
from kullback.estimate.result import Estimate
from kullback.interop.pairs import both_unwrapped


def jensen_shannon_estimate(
    p: Any, q: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the Jensen–Shannon divergence, with its error.

    .. math:: \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q) ,

    which is between 0 and log 2; its square root is a metric. Half of the points are drawn from p, half from q. For
    Gaussians :func:`geometric_jensen_shannon`, in which m is their normalized geometric mean, has a closed form; for
    mixtures :func:`jensen_shannon_bounds` are proved.

    Shape:
        The broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        Flows to the parameters of both, as to those of p for :func:`kl_estimate`.

    Args:
        p: a density; whatever :func:`kl_estimate` takes, but samples.
        q: another one.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points of both together, rounded up; 65,536 by default.
        seed: the same seed gives the same points.

    Returns:
        An :class:`Estimate`.

    Raises:
        TypeError: if p or q has no density.
        ShapeError: if the events differ or the batches do not broadcast.
        ValueError: for a log-density that is NaN, or a gradient that would be wrong.

    Reference:
        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37, 1991.

    Example:
        >>> from kullback import Gaussian, jensen_shannon_estimate
        >>> estimate = jensen_shannon_estimate(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0]), seed=0)
        >>> round(float(estimate.value), 3), estimate.n
        (0.337, 65536)
    """
    settings = Settings(tolerance, n, seed)
    p, q = both_unwrapped(p, q)
    both = as_drawn(p, q), as_drawn(q, p, ("q", "p"))
    expectations = [(drawn.p, of_log_densities(drawn.p, drawn.q, _log_ratio)) for drawn in both]
    densities = [drawn.p for drawn in both]
    mean = mean_of_averages(expectations, settings, batch_dims(*densities))
    return to_estimate(mean, densities, settings, "k1")


def _log_ratio(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The log-ratio log p - log m for m = (p + q) / 2: at most log 2."""
    return math.log(2.0) - torch.nn.functional.softplus(log_q - log_p)


jensen_shannon = jensen_shannon_estimate
"""The former name of :func:`jensen_shannon_estimate`."""
