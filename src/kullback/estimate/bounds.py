r"""Proved bounds for mixtures of Gaussians, from closed forms for pairs of components.

With :math:`f = \sum_a \pi_a f_a` and :math:`g = \sum_b \omega_b g_b` the Kullback–Leibler divergence is
:math:`\mathrm E_f \log f - \mathrm E_f \log g`. Each of the two expectations is bounded from both sides by sums over
pairs of components.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.results import Bounds
from kullback.estimate.component_bounds import by_convexity, mean_log_bounds, mean_log_chernoff_bound
from kullback.estimate.mixture_arrays import MixtureArrays, divergences, map_batch
from kullback.interop.pairs import without_common_transforms


def kl_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the Kullback–Leibler divergence of p from q, for mixtures of Gaussians.

    They are deterministic, without sampling. For two Gaussians both are the divergence. They hold up to rounding in
    float64 and to the dtype of the result.

    For a component a with entropy :math:`H_a`, and the expectation :math:`E_a` under it:

    * :math:`E_a \log g \ge \log \sum_b \omega_b e^{-D(f_a \| g_b)} - H_a`. By Jensen's inequality
      :math:`\log \sum_b \omega_b g_b \ge \sum_b \phi_b \log (\omega_b g_b / \phi_b)` for all weights :math:`\phi`;
      the bound is that of the best weights.
    * :math:`E_a \log g \le -\tau H_a + \tfrac1s \log \sum_b \omega_b^s \int f_a^{1 - \tau s} g_b^s` for
      :math:`0 < s \le 1`, :math:`0 \le \tau \le 1`, by Jensen's inequality for :math:`(g / f_a^\tau)^s` and by
      :math:`(\sum x)^s \le \sum x^s`. For each component it is minimized over a grid of s and :math:`\tau`.
    * Both with f in the place of g bound :math:`\mathrm E_f \log f`. Another upper bound of it is that of Kolchinsky
      and Tracey, :math:`\sum_a \pi_a [\log \sum_{a'} \pi_{a'} \int f_a^\alpha f_{a'}^{1-\alpha} - H_a]`.
    * The divergence is jointly convex. Therefore it is at most
      :math:`\sum_{ab} \phi_{ab} [\log (\phi_{ab} / \psi_{ab}) + D(f_a \| g_b)]` for all :math:`\phi, \psi` whose sums
      over b and a are :math:`\pi` and :math:`\omega` (Hershey and Olsen); it is minimized over them alternately.

    The upper bound is the smallest of the upper bounds; the lower bound is the largest of the lower ones and 0.

    Shape:
        Both have the broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        That of the bound that was chosen, for fixed exponents and weights.

    Args:
        p: a :class:`Mixture` or a Gaussian, or a foreign object that is converted to one; or the image of one.
        q: another one; an image under the same transforms if p is one, such as another squashed policy.

    Returns:
        ``Bounds(lower, upper)``: tensors, or NumPy arrays if p and q were given as NumPy arrays.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: if p or q is not a mixture of Gaussians; :func:`kl_estimate` takes any density.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007. A. Kolchinsky and B. D. Tracey, Estimating mixture entropy with pairwise distances, Entropy 19,
        2017. J.-L. Durrieu, J.-P. Thiran and F. Kelly, Lower and upper bounds for approximation of the Kullback-Leibler
        divergence between Gaussian mixture models, ICASSP 2012.

    Example:
        >>> from kullback import Gaussian, Mixture, kl_bounds
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> bounds = kl_bounds(p, Gaussian.from_std([0.0], [3.0]))
        >>> round(float(bounds.lower), 3), round(float(bounds.upper), 3)
        (0.461, 0.472)
    """
    return Bounds(*map_batch(*without_common_transforms(p, q), _divergence))


def cross_entropy_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the cross-entropy :math:`-\mathrm E_p \log q` of q under p.

    They are the bounds of :math:`\mathrm E_a \log g` in :func:`kl_bounds`, averaged over the components of p. If q is a
    Gaussian, both are :func:`cross_entropy`.

    Shape:
        Both have the broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        That of the bound that was chosen, for fixed exponents.

    Args:
        p: a :class:`Mixture` or a Gaussian, or a foreign object that is converted to one.
        q: another one.

    Returns:
        ``Bounds(lower, upper)``: tensors, or NumPy arrays if p and q were given as NumPy arrays.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: if p or q is not a mixture of Gaussians; :func:`cross_entropy_estimate` takes any density.

    Reference:
        A. Kolchinsky and B. D. Tracey, Estimating mixture entropy with pairwise distances, Entropy 19, 2017.

    Example:
        >>> from kullback import Gaussian, Mixture, cross_entropy_bounds
        >>> q = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> bounds = cross_entropy_bounds(Gaussian.from_std([0.0], [1.0]), q)
        >>> round(float(bounds.lower), 2), round(float(bounds.upper), 2)
        (3.66, 5.92)
    """
    return Bounds(*map_batch(p, q, _cross_entropy))


def entropy_bounds(p: Any) -> Bounds:
    r"""Proved lower and upper bounds of the differential entropy :math:`-\mathrm E_p \log p` of a mixture.

    They are :func:`cross_entropy_bounds` of p under itself; the lower one is improved by the Chernoff-α bound of
    Kolchinsky and Tracey. For a Gaussian both are :func:`entropy`.

    Shape:
        Both have the batch shape of p.
    Units:
        Nats.
    Gradient:
        That of the bound that was chosen, for fixed exponents.

    Args:
        p: a :class:`Mixture` or a Gaussian, or a foreign object that is converted to one.

    Returns:
        ``Bounds(lower, upper)``: tensors, or NumPy arrays if p was given as NumPy arrays.

    Raises:
        TypeError: if p is not a mixture of Gaussians; :func:`entropy_estimate` takes any density.

    Reference:
        A. Kolchinsky and B. D. Tracey, Estimating mixture entropy with pairwise distances, Entropy 19, 2017.

    Example:
        >>> from kullback import Gaussian, Mixture, entropy_bounds
        >>> bounds = entropy_bounds(Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]])))
        >>> round(float(bounds.lower), 3), round(float(bounds.upper), 3)
        (2.101, 2.112)
    """
    return Bounds(*map_batch(p, p, lambda f, _: _entropy(f)))


def jensen_shannon_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the Jensen–Shannon divergence of mixtures of Gaussians.

    With :math:`m = \tfrac12 (p + q)` they are the means of the bounds of :math:`D(p \,\|\, m)` and
    :math:`D(q \,\|\, m)` by :func:`kl_bounds`, and at most log 2.

    Shape:
        Both have the broadcast batch shape of p and q.
    Units:
        Nats.
    Gradient:
        That of the bounds that were chosen, for fixed exponents and weights.

    Args:
        p: a :class:`Mixture` or a Gaussian, or a foreign object that is converted to one; or the image of one.
        q: another one; an image under the same transforms if p is one, such as another squashed policy.

    Returns:
        ``Bounds(lower, upper)``: tensors, or NumPy arrays if p and q were given as NumPy arrays.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: if p or q is not a mixture of Gaussians; :func:`jensen_shannon_estimate` takes any density.

    Reference:
        J. Lin, Divergence measures based on the Shannon entropy, IEEE Transactions on Information Theory 37, 1991.

    Example:
        >>> from kullback import Gaussian, jensen_shannon_bounds
        >>> bounds = jensen_shannon_bounds(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([4.0], [1.0]))
        >>> round(float(bounds.lower), 3), round(float(bounds.upper), 3)
        (0.579, 0.693)
    """
    return Bounds(*map_batch(*without_common_transforms(p, q), _jensen_shannon))


def _divergence(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    component_kl = divergences(f, g)
    if component_kl[0].numel() == 1:
        return component_kl.flatten(), component_kl.flatten()
    log_g_lower, log_g_upper = mean_log_bounds(f, g, component_kl)
    entropy_lower, entropy_upper = _entropy(f)
    upper = torch.minimum(by_convexity(f, g, component_kl), -entropy_lower - log_g_lower).clamp(min=0.0)
    return _ordered(f, g, (-entropy_upper - log_g_upper).clamp(min=0.0), upper, trivial_lower=0.0)


def _cross_entropy(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    lower, upper = mean_log_bounds(f, g, divergences(f, g))
    return _ordered(f, g, -upper, -lower)


def _entropy(f: MixtureArrays) -> tuple[Tensor, Tensor]:
    component_kl = divergences(f, f)
    lower, upper = mean_log_bounds(f, f, component_kl)
    if component_kl[0].numel() > 1:
        upper = torch.minimum(upper, mean_log_chernoff_bound(f, component_kl))
    return _ordered(f, f, -upper, -lower)


def _jensen_shannon(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    m = MixtureArrays.even_mixture(f, g)
    lower, upper = (0.5 * (a + b) for a, b in zip(_divergence(f, m), _divergence(g, m), strict=True))
    return lower.clamp(max=math.log(2.0)), upper.clamp(max=math.log(2.0))


def _ordered(
    f: MixtureArrays, g: MixtureArrays, lower: Tensor, upper: Tensor, *, trivial_lower: float = -math.inf
) -> tuple[Tensor, Tensor]:
    """The bounds, with lower <= upper enforced after rounding.

    A NaN from overflow becomes the trivial bound, unless an input is NaN.
    """
    overflowed = ~(f.has_nan | g.has_nan)
    lower = torch.where(overflowed & lower.isnan(), trivial_lower, lower)
    upper = torch.where(overflowed & upper.isnan(), math.inf, upper)
    return torch.minimum(lower, upper), upper
