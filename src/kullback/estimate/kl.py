r"""Estimates of the Kullback–Leibler divergence where it has no closed form: as an average over p, or from samples.

One of three functions is averaged over points of p. The averages of :math:`k_1 = \log p - \log q` and of
:math:`k_3 = q/p - 1 - \log(q/p)` are unbiased. The variance of k3 is smaller than that of k1 where the divergence is
below about 0.1, but for large divergences it is so large that the average over any feasible number of points comes out
low. The average of :math:`k_2 = \tfrac12 (\log p - \log q)^2` is biased.
"""

from collections.abc import Callable
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
from kullback.estimate.samples.from_samples import Progress, from_samples
from kullback.estimate.samples.reading import is_samples
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.pairs import both_unwrapped

_TERMS: dict[str, Callable[[Tensor], Tensor]] = {
    "k1": lambda log_ratio: log_ratio,
    "k2": lambda log_ratio: 0.5 * log_ratio.square(),
    "k3": lambda log_ratio: torch.expm1(-log_ratio) + log_ratio,
}
_CAVEATS = {
    "k2": "k2 is biased: half of the mean square of log p - log q is near the divergence only where that is small",
    "k3": "k3 has a smaller variance than k1 only below about 0.1 nats, and comes out low where q is far from p",
}


def kl_estimate(
    p: Any,
    q: Any,
    *,
    tolerance: float | None = None,
    n: int | None = None,
    method: str = "auto",
    seed: int | None = None,
    progress: Progress | None = None,
) -> Estimate:
    r"""An estimate of the Kullback–Leibler divergence of p from q, with its error, where it has no closed form.

    Each of p and q is a density, or samples of one.

    **For two densities** it is the average of :math:`\log p - \log q` over points of p. The points of a Gaussian or a
    mixture come from 16 independent scramblings of a Sobol sequence for each component, whose spread gives the standard
    error (with Student's t distribution, 15 degrees of freedom); those of any other density are independent draws.
    Where p is the image of another density under transforms, such as a squashed policy, the points are those of its
    base, and q is asked for its density in their coordinates, in float64: no point is rounded to the bounds of actions.
    A point outside the support of q makes the estimate infinite.

    The default number of points is for one number that is to be right. As a term of a loss, pass ``n=64``, and no seed,
    so that every step draws other points; from a mixture prior :func:`kullback.losses.mixture_prior_kl` takes less.

    **For samples** it is the unbiased estimate for Gaussians, from the means and covariances of the samples, plus a
    correction: the nearest-neighbour estimate on the samples minus that on Gaussian samples with the same means and
    covariances. For Gaussian samples it is unbiased, and the interval covers the divergence in 95 % of cases. For other
    samples the interval covers sampling error only and under-covers; the wider band also allows for bias. The band
    covered the true divergence in 84 to 100 % of the cases in ``benchmarks/coverage.py``; no estimate from samples is
    reliable for every density. Distances to neighbours are exact; with more than 20,000 rows of p, only 5,000 of them
    are used as query points. If p is a density and q samples, p is drawn from; if q is a density, nothing is drawn.

    Rows may be those of Markov chains, one after another or in turn. Where their order shows dependence, only as many
    are used as they are worth independent ones, by the smallest effective sample size of a coordinate, as given or
    principal (that of ArviZ, for the bulk, and for the distance from the median; one of many is moved towards their
    median by as much as its error explains); the error allows for the dependence that is left. Values that were rounded
    are moved at random within their rounding cell, and a few rows that repeat are moved apart; counts and classes are
    refused. A warning says each of these.

    Shape:
        The broadcast batch shape of p and q; for samples a single number.
    Units:
        Nats.
    Gradient:
        Flows to the parameters of q, and to those of p where the points are reparameterized: Gaussians, mixtures
        (including their weights), and torch distributions with ``rsample``. Otherwise parameters of p that require
        gradients are refused: the gradient of an average over fixed points is not that of the divergence. To samples it
        flows with ``method="gaussian"``; the other methods refuse samples that require gradients. Inside transforms of
        ``torch.func`` points of Gaussians and mixtures are independent draws, with a larger error.

    Args:
        p: a Gaussian or what :func:`as_gaussian` converts; a :class:`Mixture`, or scikit-learn's ``GaussianMixture`` or
            ``BayesianGaussianMixture``; another distribution of torch, scipy, NumPyro, distrax or TensorFlow
            Probability; a ``gaussian_kde`` or ``KernelDensity``; or any object with ``log_prob(x)`` and a ``sample``
            that takes a number of points, a shape, or nothing. Or samples: the rows of an array ``(n, d)`` or of a
            table, an array ``(chains, draws, d)`` of many more draws than chains, or ArviZ's InferenceData, or a
            dataset of its draws, as ``data.posterior[["mu"]]``, of which the variables are compared that p and q share.
        q: another one; it needs no ``sample``.
        tolerance: the standard error at which to stop, in nats; points are doubled until it is reached.
        n: the number of points that are drawn from p, by default 65,536, rounded up to 16 × 2^k, or to that for each
            component. If q is samples, by default as many as there are samples, but 5,000 to 20,000, and not rounded.
        method: ``"auto"``, or the name of a method. For densities auto is ``"k1"``, which is unbiased; ``"k2"`` and
            ``"k3"`` are others. For samples auto is ``"calibrated"``; others are ``"gaussian"``, the unbiased estimate
            for Gaussians alone, and ``"knn"``, nearest neighbours alone (Wang, Kulkarni and Verdú). The warnings of the
            result state the weakness of the method.
        seed: the same seed gives the same points, also for objects that draw with torch's global generator; other
            objects have seeds of their own.
        progress: for samples, called after each search for neighbours, with the number of searches so far and None.

    Returns:
        ``Estimate(value, standard_error, interval, band, n, method, warnings)``. The value is not clipped at 0:
        an unbiased estimate of a small divergence is negative in up to half of all cases, and says that the divergence
        is not told from 0. Clipped, its mean would be too large.

    Raises:
        TypeError: if an argument is neither a density nor an array, or a column holds no numbers; it is named.
        ShapeError: if the events differ, the batches do not broadcast, or samples are not the rows of an array.
        ValueError: for an unknown method, a log-density that is NaN, a gradient that would be wrong; for samples that
            are not finite, too few, too dependent or constant, or that repeat so often that distances to neighbours are
            0; and for probabilities, counts and log-probabilities of drawn tokens.
        NotPositiveDefinite: for samples of which a coordinate is a linear function of others.

    Reference:
        A. B. Owen, Scrambled net variance for integrals of smooth functions, Annals of Statistics 25, 1997. Q. Wang,
        S. R. Kulkarni and S. Verdú, Divergence estimation for multidimensional densities via k-nearest-neighbor
        distances, IEEE Transactions on Information Theory 55, 2009. A. Vehtari, A. Gelman, D. Simpson, B. Carpenter
        and P.-C. Bürkner, Rank-normalization, folding, and localization, Bayesian Analysis 16, 2021.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, Mixture, kl_estimate
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-1.0], [1.0]], [[1.0], [1.0]]))
        >>> estimate = kl_estimate(p, Gaussian.from_std([0.0], [1.5]), seed=0)
        >>> round(float(estimate.value), 4), bool(estimate.standard_error < 1e-4)
        (0.0131, True)
        >>> x = torch.randn(1000, 3, generator=torch.Generator().manual_seed(0))
        >>> estimate = kl_estimate(x + 1.0, Gaussian.standard(3), seed=0)
        >>> round(float(estimate.value), 1), estimate.method
        (1.5, 'calibrated')
    """
    settings = Settings(tolerance, n, seed)
    if is_samples(p) or is_samples(q):
        return from_samples(p, q, settings, method, progress)
    if method != "auto" and method not in _TERMS:
        raise ValueError(f"method is one of auto, {', '.join(_TERMS)} for densities, got {method!r}.")
    name = "k1" if method == "auto" else method
    p, q, _ = as_drawn(*both_unwrapped(p, q))
    integrand = of_log_densities(p, q, lambda log_p, log_q: _TERMS[name](log_p - log_q))
    mean = mean_of_averages([(p, integrand)], settings, batch_dims(p, q))
    both_gaussian = isinstance(p, Gaussian) and isinstance(q, Gaussian)
    closed_form = "this pair has a closed form: kl_divergence(p, q) is exact" if both_gaussian else None
    return to_estimate(mean, (p, q), settings, name, [_CAVEATS.get(name), closed_form])
