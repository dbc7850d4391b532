"""Entropy and cross-entropy of mixtures and other densities, as averages."""

from typing import Any

from torch import Tensor

from kullback.estimate.averaging import Settings, at_own_points, averages, batch_dims, estimate, pair
from kullback.estimate.densities import Foreign, as_density, log_density
from kullback.estimate.result import Estimate


def entropy_estimate(
    p: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the differential entropy :math:`-\mathrm E_p \log p`, with its error, in nats.

    Of a Gaussian :func:`entropy` is exact; of a mixture :func:`entropy_bounds` are proved. Shape, gradients, arguments,
    result and errors are those of :func:`kl_estimate` for a density.

    Example:
        >>> from kullback import Gaussian, Mixture, entropy_estimate
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> found = entropy_estimate(p, seed=0)
        >>> round(float(found.value), 3), bool(found.standard_error < 1e-4)
        (2.108, True)
    """
    settings, p = Settings(tolerance, n, seed), as_density(p, "p")
    mean = averages([(p, lambda x, own: -at_own_points(p, x, own))], settings, batch_dims(p))
    return estimate(mean, (p,), settings, "k1", never_negative=False)


def cross_entropy_estimate(
    p: Any, q: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the cross-entropy :math:`-\mathrm E_p \log q` of q under p, with its error, in nats.

    Of Gaussians :func:`cross_entropy` is exact; of mixtures :func:`cross_entropy_bounds` are proved. Shape, gradients,
    arguments, result and errors are those of :func:`kl_estimate` for densities.

    Example:
        >>> from kullback import Gaussian, Mixture, cross_entropy_estimate
        >>> q = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(cross_entropy_estimate(Gaussian.from_std([0.0], [1.0]), q, seed=0).value), 3)
        4.112
    """
    settings = Settings(tolerance, n, seed)
    p, q = pair(p, q)

    def integrand(x: Tensor, own: Tensor) -> Tensor:
        if isinstance(p, Foreign):
            at_own_points(p, x, own)  # only to refuse gradients that would be wrong
        return -log_density(q, x)

    mean = averages([(p, integrand)], settings, batch_dims(p, q))
    return estimate(mean, (p, q), settings, "k1", never_negative=False)
