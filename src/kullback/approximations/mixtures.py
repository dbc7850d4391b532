r"""Approximations of the Kullback–Leibler divergence of mixtures that papers use, by their names.

None of them is a bound but in special cases, none knows its error, and none is a default of anything here: where a
number is reported, :func:`kullback.kl_bounds` proves where it lies and :func:`kullback.kl_estimate` has an error. They
are deterministic and differentiable, and cost a closed form for each pair of components (:func:`unscented` 2d points
for each component of p).

The errors given with each are the median and the 95th percentile of :math:`|\text{approximation} - D| / D` over the 500
random pairs of ``benchmarks/approximations.py`` (1 to 64 coordinates, 1 to 200 components), D estimated.

With :math:`f = \sum_a \pi_a f_a` and :math:`g = \sum_b \omega_b g_b`; all take what :func:`kullback.kl_bounds` takes,
raise what it raises, and return a number of nats for each pair of the broadcast batch.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.kl import kl_divergence
from kullback.estimate.mixture_arrays import MixtureArrays, divergences, log_integrals, map_batch
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.linear_algebra import cholesky


def unscented(p: Any, q: Any) -> Any:
    r"""By sigma points: the mean of :math:`\log f - \log g` over the 2d points of each component's mean and
    :math:`\pm \sqrt d` columns of its factor.

    Exact where the logarithms are quadratic. Measured error: 31 %, 134 %.

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


def variational(p: Any, q: Any) -> Any:
    r""":math:`\sum_a \pi_a \log \frac{\sum_{a'} \pi_{a'} e^{-D(f_a \| f_{a'})}}{\sum_b \omega_b e^{-D(f_a \| g_b)}}`.

    A difference of two lower bounds, so that it may be on either side. Measured error: 66 %, 290 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.
    """
    return map_batch(p, q, _variational)[0]


def matched(p: Any, q: Any) -> Any:
    r""":math:`\sum_a \pi_a \min_b [D(f_a \,\|\, g_b) + \log \tfrac{\pi_a}{\omega_b}]`: each component against the one
    that matches it.

    Measured error: 75 %, 1152 %.

    Reference:
        J. Goldberger, S. Gordon and H. Greenspan, An efficient image similarity measure based on approximations of
        KL-divergence between two Gaussian mixtures, ICCV 2003.
    """
    return map_batch(p, q, _matched)[0]


def product(p: Any, q: Any) -> Any:
    r""":math:`\sum_a \pi_a \log \frac{\sum_{a'} \pi_{a'} \int f_a f_{a'}}{\sum_b \omega_b \int f_a g_b}`.

    A difference of two upper bounds. Measured error: 54 %, 111 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.
    """
    return map_batch(p, q, _product)[0]


def moment_matched(p: Any, q: Any) -> Any:
    r"""The divergence of the Gaussians that have the means and covariances of the mixtures.

    At most D where q is one Gaussian. Measured error: 90 %, 96 %.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007.
    """
    return map_batch(p, q, _moment_matched)[0]


def _unscented(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    factors = cholesky(f.matrices()) if not f.diagonal else f.scale.sqrt().diag_embed()
    moved = math.sqrt(f.d) * factors.mT
    points = torch.cat([f.mean[:, None] + moved, f.mean[:, None] - moved], 1)  # (K, 2d, d)
    log_ratio = f.log_prob(points.flatten(0, 1)) - g.log_prob(points.flatten(0, 1))
    return ((f.weights * log_ratio.reshape(points.shape[:2]).mean(1)).sum(),)


def _variational(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    own, other = (torch.logsumexp(side.log_weights - divergences(f, side), 1) for side in (f, g))
    return ((f.weights * (own - other)).sum(),)


def _matched(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    best = (divergences(f, g) - g.log_weights).amin(1)
    return ((f.weights * (best + f.log_weights)).sum(),)


def _product(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    one = torch.ones_like(f.weights)
    own, other = (torch.logsumexp(side.log_weights + log_integrals(f, side, one, one), 1) for side in (f, g))
    return ((f.weights * (own - other)).sum(),)


def _moment_matched(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor]:
    return (torch.as_tensor(kl_divergence(_with_moments(f), _with_moments(g))),)


def _with_moments(side: MixtureArrays) -> Gaussian:
    mean = (side.weights[:, None] * side.mean).sum(0)
    centred = side.mean - mean
    between = (side.weights[:, None] * centred).mT @ centred
    within = (side.weights[:, None, None] * side.matrices()).sum(0)
    return Gaussian.from_covariance(mean, within + between, validate=False)
