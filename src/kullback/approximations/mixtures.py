r"""Approximations of the Kullback–Leibler divergence of mixtures of Gaussians, by the names that papers give them.

The mixtures are :math:`p = f = \sum_a \pi_a f_a` and :math:`q = g = \sum_b \omega_b g_b`, D is a divergence.

The approximations are deterministic and differentiable, and need a closed form for each pair of components
(:func:`unscented` needs log-densities at 2d points for each component of p). Except in special cases none of them is a
bound, and none comes with an error. To report a number use :func:`kullback.kl_bounds`, which are proved, or
:func:`kullback.kl_estimate`, which has an error.

The measured errors in the docstrings are the median and the 95th percentile of :math:`|\text{approximation} - D| / D`,
for estimates of D, over the 500 random pairs of ``benchmarks/approximations.py`` (1 to 64 coordinates, 1 to 200
components).
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

from kullback.divergences.docstrings import completed
from kullback.divergences.kl import kl_divergence
from kullback.estimate.mixture_arrays import MixtureArrays, divergences, log_integrals, map_batch
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.linear_algebra import cholesky

F = TypeVar("F", bound=Callable[..., Any])

# What the docstrings of all of them say.
_SECTIONS = {
    "Shape": "The broadcast batch shape of p and q.",
    "Units": "Nats.",
    "Gradient": "Flows to p and q.",
    "Args": """
        p: a :class:`Mixture` or a Gaussian, or a foreign object that is converted to one.
        q: another one.
    """,
    "Returns": "A tensor, or a NumPy array if p and q were given as NumPy arrays.",
    "Raises": """
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: if p or q is not a mixture of Gaussians.
    """,
}


def _documented(function: F) -> F:
    function.__doc__ = completed(function.__doc__, _SECTIONS)
    return function


@_documented
def unscented(p: Any, q: Any) -> Any:
    r"""The unscented approximation of the divergence of p from q: the mean of the log-ratio over sigma points.

    .. math:: \sum_a \pi_a \frac1{2d} \sum_{k=1}^d \sum_\pm \log \frac{f}{g} \bigl( \mu_a \pm \sqrt d\, L_a e_k \bigr) ,

    with the Cholesky factors :math:`L_a` of the covariances. It is exact where both logarithms are quadratic, as for
    two Gaussians. Measured error: median 31 %, 95th percentile 134 %.

    Reference:
        J. Goldberger, S. Gordon and H. Greenspan, An efficient image similarity measure based on approximations of
        KL-divergence between two Gaussian mixtures, ICCV 2003.

    Example:
        >>> from kullback import Gaussian, Mixture, approximations
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(approximations.unscented(p, Gaussian.from_std([0.0], [3.0]))), 3)
        0.461
    """
    return map_batch(p, q, _unscented)[0]


@_documented
def variational(p: Any, q: Any) -> Any:
    r"""The variational approximation of the divergence of p from q.

    .. math:: \sum_a \pi_a \log \frac{\sum_{a'} \pi_{a'} e^{-D(f_a \| f_{a'})}}{\sum_b \omega_b e^{-D(f_a \| g_b)}}

    It is the difference of lower bounds of :math:`\mathrm E_f \log f` and of :math:`\mathrm E_f \log g`, so that it may
    be too large or too small. Measured error: median 66 %, 95th percentile 290 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.

    Example:
        >>> from kullback import Gaussian, Mixture, approximations
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(approximations.variational(p, Gaussian.from_std([0.0], [3.0]))), 3)
        0.461
    """
    return map_batch(p, q, _variational)[0]


@_documented
def matched(p: Any, q: Any) -> Any:
    r"""The matched approximation of the divergence of p from q: each component of p against the closest one of q.

    .. math:: \sum_a \pi_a \min_b \Bigl[ D(f_a \,\|\, g_b) + \log \frac{\pi_a}{\omega_b} \Bigr]

    Measured error: median 75 %, 95th percentile 1152 %.

    Reference:
        J. Goldberger, S. Gordon and H. Greenspan, An efficient image similarity measure based on approximations of
        KL-divergence between two Gaussian mixtures, ICCV 2003.

    Example:
        >>> from kullback import Gaussian, Mixture, approximations
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(approximations.matched(p, Gaussian.from_std([0.0], [3.0]))), 3)
        0.461
    """
    return map_batch(p, q, _matched)[0]


@_documented
def product(p: Any, q: Any) -> Any:
    r"""The product-of-Gaussians approximation of the divergence of p from q.

    .. math:: \sum_a \pi_a \log \frac{\sum_{a'} \pi_{a'} \int f_a f_{a'}}{\sum_b \omega_b \int f_a g_b}

    It is the difference of upper bounds of :math:`\mathrm E_f \log f` and of :math:`\mathrm E_f \log g`, so that it may
    be too large or too small. Measured error: median 54 %, 95th percentile 111 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.

    Example:
        >>> from kullback import Gaussian, Mixture, approximations
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(approximations.product(p, Gaussian.from_std([0.0], [3.0]))), 3)
        0.562
    """
    return map_batch(p, q, _product)[0]


@_documented
def moment_matched(p: Any, q: Any) -> Any:
    r"""The divergence of the Gaussians that have the same means and covariances as the mixtures p and q.

    It is a lower bound if q is a single Gaussian. Measured error: median 90 %, 95th percentile 96 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.

    Example:
        >>> from kullback import Gaussian, Mixture, approximations
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> round(float(approximations.moment_matched(p, Gaussian.from_std([0.0], [3.0]))), 3)
        0.003
    """
    return map_batch(p, q, _moment_matched)[0]


def _unscented(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    factors = cholesky(f.matrices()) if not f.diagonal else f.scale.sqrt().diag_embed()
    offsets, mean = math.sqrt(f.d) * factors.mT, f.mean.unsqueeze(2)
    points = torch.cat([mean + offsets, mean - offsets], 2) if f.d else mean  # (B, K, 2d, d)
    log_ratio = f.log_prob(points.flatten(1, 2)) - g.log_prob(points.flatten(1, 2))
    return ((f.weights * log_ratio.reshape(points.shape[:3]).mean(2)).sum(1),)


def _variational(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    log_f, log_g = (torch.logsumexp(h.log_weights[:, None] - divergences(f, h), 2) for h in (f, g))
    return ((f.weights * (log_f - log_g)).sum(1),)


def _matched(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    closest = (divergences(f, g) - g.log_weights[:, None]).amin(2)
    return ((f.weights * (closest + f.log_weights)).sum(1),)


def _product(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    one = torch.ones_like(f.weights)
    log_f, log_g = (torch.logsumexp(h.log_weights[:, None] + log_integrals(f, h, one, one), 2) for h in (f, g))
    return ((f.weights * (log_f - log_g)).sum(1),)


def _moment_matched(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    return (from_callers_type(kl_divergence(_gaussian_with_moments_of(f), _gaussian_with_moments_of(g))),)


def _gaussian_with_moments_of(mixture: MixtureArrays) -> Gaussian:
    weights = mixture.weights.unsqueeze(-1)
    mean = (weights * mixture.mean).sum(1)
    centred = mixture.mean - mean[:, None]
    between = (weights * centred).mT @ centred
    within = (weights[..., None] * mixture.matrices()).sum(1)
    return Gaussian.from_covariance(mean, within + between, validate=False)
