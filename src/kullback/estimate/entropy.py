"""Estimates of the entropy and the cross-entropy of mixtures and other densities, as averages; or from samples."""

from typing import Any

from torch import Tensor

from kullback.estimate.averaging import (
    Settings,
    as_drawn,
    batch_dims,
    log_density_as_of,
    log_density_at_draws,
    mean_of_averages,
    to_estimate,
)
from kullback.estimate.densities import Foreign
from kullback.estimate.result import Estimate
from kullback.estimate.samples.from_samples import entropy_of_samples
from kullback.estimate.samples.reading import is_samples


def entropy_estimate(
    p: Any, *, tolerance: float | None = None, n: int | None = None, seed: int | None = None
) -> Estimate:
    r"""An estimate of the differential entropy :math:`-\mathrm E_p \log p`, with its error.

    For a density it is the average of :math:`-\log p` over points drawn from p. For a Gaussian :func:`entropy` is
    exact; for a mixture :func:`entropy_bounds` are proved.

    For samples it is the unbiased estimate for Gaussians, plus what the estimate of Kozachenko and Leonenko, by nearest
    neighbours, is above that on Gaussian samples with the same moments. Interval, band and warnings are those of
    :func:`kl_estimate`, and so are the samples that it takes.

    Shape:
        The batch shape of p; for samples a single number.
    Units:
        Nats. The entropy of samples depends on the units of their coordinates.
    Gradient:
        As for :func:`kl_estimate` of densities; samples that require gradients are refused.

    Args:
        p: a density or samples; whatever :func:`kl_estimate` takes.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points, rounded up to 16 × 2^k, or to that for each component; 65,536 by default.
            Not for samples.
        seed: the same seed gives the same points.

    Returns:
        An :class:`Estimate`.

    Raises:
        TypeError: if p is neither a density nor an array.
        ShapeError: if samples are not the rows of an array.
        ValueError: for a log-density that is NaN, or a gradient that would be wrong; for samples that
            :func:`kl_estimate` refuses.
        NotPositiveDefinite: for samples of which a coordinate is a linear function of others.

    Reference:
        L. F. Kozachenko and N. N. Leonenko, Sample estimate of the entropy of a random vector, Problems of Information
        Transmission 23, 1987.

    Example:
        >>> from kullback import Gaussian, Mixture, entropy_estimate
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> estimate = entropy_estimate(p, seed=0)
        >>> round(float(estimate.value), 3), bool(estimate.standard_error < 1e-4)
        (2.108, True)
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(5000, 1))
        >>> round(float(entropy_estimate(x, seed=0).value), 2)  # half of log(2 pi e) is 1.419
        1.42
    """
    settings = Settings(tolerance, n, seed)
    if is_samples(p):
        return entropy_of_samples(p, settings)
    drawn = as_drawn(p, p)

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
        # Of other densities, the check of gradients is needed, too.
        log_p = log_density_at_draws(p, x, log_component) if isinstance(p, Foreign) else log_component
        return drawn.log_volume(x) - log_density_as_of(q, x, log_p)

    mean = mean_of_averages([(p, integrand)], settings, batch_dims(p, q))
    return to_estimate(mean, (p, q), settings, "k1", never_negative=False)
