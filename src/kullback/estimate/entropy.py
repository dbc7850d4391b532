"""Estimates of the entropy and the cross-entropy of mixtures and other densities, as averages."""

from typing import Any

from torch import Tensor

from kullback.estimate.averaging import (
    Settings,
    as_drawn,
    batch_dims,
    log_density_at_draws,
    mean_of_averages,
    to_estimate,
)
from kullback.estimate.densities import Foreign, log_density
from kullback.estimate.result import Estimate


def entropy_estimate(
    p: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the differential entropy :math:`-\mathrm E_p \log p`, with its error.

    It is the average of :math:`-\log p` over points drawn from p. For a Gaussian :func:`entropy` is exact; for a
    mixture :func:`entropy_bounds` are proved.

    Shape:
        The batch shape of p.
    Units:
        Nats.
    Gradient:
        As for :func:`kl_estimate` of densities.

    Args:
        p: a density; whatever :func:`kl_estimate` takes, but samples.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points, rounded up to 16 × 2^k, or to that for each component; 65,536 by default.
        seed: the same seed gives the same points.

    Returns:
        An :class:`Estimate`.

    Raises:
        TypeError: if p has no density.
        ValueError: for a log-density that is NaN, or a gradient that would be wrong.

    Example:
        >>> from kullback import Gaussian, Mixture, entropy_estimate
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> estimate = entropy_estimate(p, seed=0)
        >>> round(float(estimate.value), 3), bool(estimate.standard_error < 1e-4)
        (2.108, True)
    """
    settings, drawn = Settings(tolerance, n, seed), as_drawn(p, p)

    def integrand(x: Tensor, log_component: Tensor) -> Tensor:
        return drawn.log_volume(x) - log_density_at_draws(drawn.p, x, log_component)

    mean = mean_of_averages([(drawn.p, integrand)], settings, batch_dims(drawn.p))
    return to_estimate(mean, (drawn.p,), settings, "k1", never_negative=False)


def cross_entropy_estimate(
    p: Any, q: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the cross-entropy :math:`-\mathrm E_p \log q` of q under p, with its error.

    It is the average of :math:`-\log q` over points drawn from p. For Gaussians :func:`cross_entropy` is exact; for
    mixtures :func:`cross_entropy_bounds` are proved.

    Shape:
        The broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        As for :func:`kl_estimate` of densities.

    Args:
        p: a density; whatever :func:`kl_estimate` takes, but samples.
        q: another one.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points, rounded up to 16 × 2^k, or to that for each component; 65,536 by default.
        seed: the same seed gives the same points.

    Returns:
        An :class:`Estimate`.

    Raises:
        TypeError: if p or q has no density.
        ShapeError: if the events differ or the batches do not broadcast.
        ValueError: for a log-density that is NaN, or a gradient that would be wrong.

    Example:
        >>> from kullback import Gaussian, Mixture, cross_entropy_estimate
        >>> q = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(cross_entropy_estimate(Gaussian.from_std([0.0], [1.0]), q, seed=0).value), 3)
        4.112
    """
    settings, drawn = Settings(tolerance, n, seed), as_drawn(p, q)
    p, q, _ = drawn

    def integrand(x: Tensor, log_component: Tensor) -> Tensor:
        if isinstance(p, Foreign):
            log_density_at_draws(p, x, log_component)  # for its check of gradients
        return drawn.log_volume(x) - log_density(q, x)

    mean = mean_of_averages([(p, integrand)], settings, batch_dims(p, q))
    return to_estimate(mean, (p, q), settings, "k1", never_negative=False)
