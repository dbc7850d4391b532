r"""The Jensen–Shannon divergence, which has no closed form for Gaussians, as two averages."""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.estimate.averaging import Settings, averages, batch_dims, estimate, of_both, pair
from kullback.estimate.result import Estimate


def jensen_shannon_estimate(
    p: Any, q: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the Jensen–Shannon divergence, with its error.

    .. math:: \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q) ,

    between 0 and log 2; its square root is a metric. Half of the points are of p, half of q. For Gaussians
    :func:`geometric_jensen_shannon`, with another m, has a closed form.

    Shape, units, gradients, arguments, result and errors are those of :func:`kl_estimate`; both p and q are drawn from.

    Reference:
        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37, 1991.

    Example:
        >>> from kullback import Gaussian, jensen_shannon_estimate
        >>> found = jensen_shannon_estimate(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0]), seed=0)
        >>> round(float(found.value), 3), found.n
        (0.337, 65536)
    """
    settings = Settings(tolerance, n, seed)
    p, q = pair(p, q)
    mean = averages([(p, of_both(p, q, _term)), (q, of_both(q, p, _term))], settings, batch_dims(p, q))
    return estimate(mean, (p, q), settings, "k1")


def _term(log_own: Tensor, log_other: Tensor) -> Tensor:
    """At points of p what is averaged, log p - log m: at most log 2."""
    return math.log(2.0) - torch.nn.functional.softplus(log_other - log_own)


jensen_shannon = jensen_shannon_estimate
"""The former name of :func:`jensen_shannon_estimate`."""
