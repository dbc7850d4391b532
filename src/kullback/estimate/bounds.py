r"""Proved bounds of the Kullback–Leibler divergence of mixtures, from the closed forms of their components.

With :math:`f = \sum_a \pi_a f_a` and :math:`g = \sum_b \omega_b g_b` it is
:math:`\mathrm E_f \log f - \mathrm E_f \log g`, and each of the two lies between sums over pairs of components.
"""

import math
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.results import Bounds
from kullback.estimate.mixture_arrays import MixtureArrays, divergences, log_integrals, map_batch

# The exponents s and tau of the family that bounds a mean of log g from above; all taus for diagonals only.
_S = torch.logspace(math.log10(0.005), 0.0, 14, dtype=torch.float64).tolist()
_TAU = (0.0, 0.25, 0.5, 0.75, 1.0)
_ALPHA = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).tolist()

# Rounds of the two-sided minimization, each of which lowers the bound.
_ROUNDS = 100


def kl_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the Kullback–Leibler divergence of p from q, Gaussians or mixtures of them.

    Deterministic: no sampling. For two Gaussians both are the divergence. Proved but for rounding, which is that of
    float64, and that of the result's dtype.

    For each component a, :math:`H_a` its entropy and :math:`E_a` the mean over it:

    * :math:`E_a \log g \ge \log \sum_b \omega_b e^{-D(f_a \| g_b)} - H_a`, since by Jensen's inequality
      :math:`\log \sum_b \omega_b g_b \ge \sum_b \phi_b \log (\omega_b g_b / \phi_b)` for all weights :math:`\phi`;
      these are the best.
    * :math:`E_a \log g \le -\tau H_a + \tfrac1s \log \sum_b \omega_b^s \int f_a^{1 - \tau s} g_b^s` for
      :math:`0 < s \le 1`, :math:`0 \le \tau \le 1`: Jensen's inequality for :math:`(g / f_a^\tau)^s`, and
      :math:`(\sum x)^s \le \sum x^s`. The least over a grid of s and :math:`\tau` is taken for each component.
    * The same two with f for g bound :math:`\mathrm E_f \log f`; from above so does the entropy bound of Kolchinsky and
      Tracey, :math:`\sum_a \pi_a [\log \sum_{a'} \pi_{a'} \int f_a^\alpha f_{a'}^{1-\alpha} - H_a]`.
    * The divergence is jointly convex: at most
      :math:`\sum_{ab} \phi_{ab} [\log (\phi_{ab} / \psi_{ab}) + D(f_a \| g_b)]` for any :math:`\phi, \psi` whose sums
      over b and a are :math:`\pi` and :math:`\omega` (Hershey and Olsen), minimized in turns.

    Upper is the least of what the upper bounds give, lower the largest, and 0.

    Shape:
        Each of the broadcast batch shape of p and q, in nats.
    Gradient:
        That of the bound that was chosen, at the exponents and weights that were.

    Args:
        p: a :class:`Mixture` or Gaussian, or what stands for one.
        q: the same.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        TypeError: for anything that is no mixture of Gaussians.

    Reference:
        J. R. Hershey and P. A. Olsen, Approximating the Kullback Leibler divergence between Gaussian mixture models,
        ICASSP 2007. A. Kolchinsky and B. D. Tracey, Estimating mixture entropy with pairwise distances, Entropy 19,
        2017. J.-L. Durrieu, J.-P. Thiran and F. Kelly, Lower and upper bounds for approximation of the Kullback-Leibler
        divergence between Gaussian mixture models, ICASSP 2012.

    Example:
        >>> from kullback import Gaussian, Mixture, kl_bounds
        >>> p = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> found = kl_bounds(p, Gaussian.from_std([0.0], [3.0]))
        >>> round(float(found.lower), 3), round(float(found.upper), 3)
        (0.461, 0.472)
    """
    return Bounds(*map_batch(p, q, _divergence))


def cross_entropy_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the cross-entropy :math:`-\mathrm E_p \log q` of q under p, in nats.

    For Gaussians or mixtures of them, by the bounds of :math:`\mathrm E_a \log g` that :func:`kl_bounds` has; shape,
    gradients, arguments and errors are its own. Of one Gaussian q both are :func:`cross_entropy`.

    Reference:
        A. Kolchinsky and B. D. Tracey, Estimating mixture entropy with pairwise distances, Entropy 19, 2017.

    Example:
        >>> from kullback import Gaussian, Mixture, cross_entropy_bounds
        >>> q = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]]))
        >>> found = cross_entropy_bounds(Gaussian.from_std([0.0], [1.0]), q)
        >>> round(float(found.lower), 2), round(float(found.upper), 2)
        (3.66, 5.92)
    """
    return Bounds(*map_batch(p, q, _cross_entropy))


def entropy_bounds(p: Any) -> Bounds:
    r"""Proved lower and upper bounds of the differential entropy :math:`-\mathrm E_p \log p` of a mixture, in nats.

    As :func:`cross_entropy_bounds` of p under itself, and from below also by the Chernoff-α bound. Of a Gaussian both
    are :func:`entropy`.

    Example:
        >>> from kullback import Gaussian, Mixture, entropy_bounds
        >>> found = entropy_bounds(Mixture([0.5, 0.5], Gaussian.from_std([[-3.0], [3.0]], [[1.0], [1.0]])))
        >>> round(float(found.lower), 3), round(float(found.upper), 3)
        (2.101, 2.112)
    """
    return Bounds(*map_batch(p, p, lambda f, _: _entropy(f)))


def jensen_shannon_bounds(p: Any, q: Any) -> Bounds:
    r"""Proved lower and upper bounds of the Jensen–Shannon divergence of Gaussians or mixtures of them, in nats.

    With m the mixture of half of each, half of the sum of the bounds of :math:`D(p \,\|\, m)` and
    :math:`D(q \,\|\, m)` by :func:`kl_bounds`, whose shape, gradients, arguments and errors are these; at most log 2.

    Example:
        >>> from kullback import Gaussian, jensen_shannon_bounds
        >>> found = jensen_shannon_bounds(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([4.0], [1.0]))
        >>> round(float(found.lower), 3), round(float(found.upper), 3)
        (0.579, 0.693)
    """
    return Bounds(*map_batch(p, q, _jensen_shannon))


def _divergence(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    between = divergences(f, g)
    if between.numel() == 1:
        return between[0, 0], between[0, 0]
    log_g_low, log_g_high = _mean_log(f, g, between)
    entropy_low, entropy_high = _entropy(f)
    upper = torch.minimum(_by_convexity(f, g, between), -entropy_low - log_g_low).clamp(min=0.0)
    return _ordered(f, g, (-entropy_high - log_g_high).clamp(min=0.0), upper, least=0.0)


def _cross_entropy(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    low, high = _mean_log(f, g, divergences(f, g))
    return _ordered(f, g, -high, -low)


def _entropy(f: MixtureArrays) -> tuple[Tensor, Tensor]:
    low, high = _mean_log(f, f, divergences(f, f))
    if len(f.mean) > 1:
        high = torch.minimum(high, _by_chernoff(f))
    return _ordered(f, f, -high, -low)


def _jensen_shannon(f: MixtureArrays, g: MixtureArrays) -> tuple[Tensor, Tensor]:
    middle = MixtureArrays.even_mixture(f, g)
    low, high = (0.5 * (a + b) for a, b in zip(_divergence(f, middle), _divergence(g, middle), strict=True))
    return low.clamp(max=math.log(2.0)), high.clamp(max=math.log(2.0))


def _ordered(
    f: MixtureArrays, g: MixtureArrays, lower: Tensor, upper: Tensor, *, least: float = -math.inf
) -> tuple[Tensor, Tensor]:
    """Less what is left of rounding where they meet.

    Where numbers leave float64 there is no number; what is always true remains, unless a parameter is none itself.
    """
    given = [x for side in (f, g) for x in (side.log_weights, side.mean, side.scale)]
    if not any(bool(x.isnan().any()) for x in given):
        lower = torch.where(lower.isnan(), least, lower)
        upper = torch.where(upper.isnan(), math.inf, upper)
    return torch.minimum(lower, upper), upper


def _mean_log(f: MixtureArrays, g: MixtureArrays, between: Tensor) -> tuple[Tensor, Tensor]:
    """The mean over f of log g lies between these; of one Gaussian g they are the same."""
    low = (f.weights * (torch.logsumexp(g.log_weights - between, -1) - f.entropies)).sum()
    return low, low if between.shape[1] == 1 else _mean_log_above(f, g)


def _by_convexity(f: MixtureArrays, g: MixtureArrays, between: Tensor) -> Tensor:
    """Hershey and Olsen's bound, its two sets of weights found in turns, from those that are independent."""
    cost = between.detach()
    log_pi, log_omega = f.log_weights.detach()[:, None], g.log_weights.detach()[None]
    # Logarithms of phi / pi, weights over b for each a, and of psi / omega, weights over a for each b.
    over_b = (log_omega - cost).log_softmax(1)
    for _ in range(_ROUNDS):
        over_a = (log_pi + over_b).log_softmax(0)
        over_b = (log_omega + over_a - cost).log_softmax(1)
    over_a = (log_pi + over_b).log_softmax(0)
    phi = f.weights[:, None] * over_b.exp()
    ratio = f.log_weights[:, None] + over_b - g.log_weights - over_a
    # Where phi is 0 so is its term, whatever the divergence.
    return torch.where(phi == 0, 0.0, phi * (ratio + between)).sum()


def _by_chernoff(f: MixtureArrays) -> Tensor:
    """The mean of log f is at most this, for the best alpha."""

    def bound(alpha: float) -> Tensor:
        exponents = torch.full_like(f.weights, 1.0 - alpha)
        integrals = log_integrals(f, f, 1.0 - exponents, exponents)
        return (f.weights * (torch.logsumexp(f.log_weights + integrals, -1) - f.entropies)).sum()

    with torch.no_grad():
        best = min(_ALPHA, key=lambda alpha: float(bound(alpha)))
    return bound(best)


def _mean_log_above(f: MixtureArrays, g: MixtureArrays) -> Tensor:
    """The mean over f of log g is at most this: the best exponents for each component of f."""

    def bounds(s: Tensor, tau: Tensor) -> Tensor:
        integrals = log_integrals(f, g, 1.0 - tau * s, s)
        return torch.logsumexp(s[:, None] * g.log_weights + integrals, -1) / s - tau * f.entropies

    every_tau = f.diagonal and g.diagonal
    grid = [(s, tau) for s in _S for tau in _TAU if every_tau or tau == 1.0 or (s, tau) == (1.0, 0.0)]
    with torch.no_grad():
        every = torch.stack([bounds(*(torch.full_like(f.weights, x) for x in pair)) for pair in grid])
        chosen = every.nan_to_num(nan=math.inf).argmin(0)
        s, tau = torch.tensor(grid, dtype=torch.float64, device=f.weights.device)[chosen].unbind(-1)
    return (f.weights * bounds(s, tau)).sum()
