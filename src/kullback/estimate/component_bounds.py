r"""The sums over pairs of components that bound expectations under mixtures of Gaussians.

For :math:`f = \sum_a \pi_a f_a` and :math:`g = \sum_b \omega_b g_b` these are bounds of
:math:`\mathrm E_f \log g`, of :math:`\mathrm E_f \log f` and of the divergence; the docstring of
:func:`~kullback.kl_bounds` states them. Each function takes B pairs of mixtures and the divergences of their
components, ``(B, K_f, K_g)``, and returns ``(B,)``. What is chosen for a pair, exponents and weights, does not depend
on the other pairs.
"""

import itertools
import math

import torch
from torch import Tensor

from kullback.estimate.mixture_arrays import MixtureArrays, log_integrals, picked

# The grids over which the upper bounds of the expectation of a log-density are minimized: s and tau, of which values
# between 0 and 1 are for diagonal components only, and alpha of the Chernoff bound.
_S = torch.logspace(math.log10(0.005), 0.0, 14, dtype=torch.float64, device="cpu")
_TAU = torch.linspace(0.0, 1.0, 5, dtype=torch.float64, device="cpu")
_ALPHA = torch.linspace(0.1, 0.9, 9, dtype=torch.float64, device="cpu")

# The exponents for a component of f are chosen by this number of components of g, the nearest in KL divergence: they
# make up the sum. Any exponents give a bound, which is computed from all components.
_NEAREST = 256

# Elements of the scales of pairs of components for which several exponents are tried at once.
_ELEMENTS = 2**16

# Rounds of the alternating minimization of the convexity bound, each of ten iterations that lower it. They end where a
# round lowers it by less than this share.
_ROUNDS, _ITERATIONS, _IMPROVEMENT = 10, 10, 1e-3


def mean_log_bounds(f: MixtureArrays, g: MixtureArrays, component_kl: Tensor) -> tuple[Tensor, Tensor]:
    """A lower and an upper bound of the expectation of log g under f; they are equal for one Gaussian g."""
    lower = (f.weights * (torch.logsumexp(g.log_weights[:, None] - component_kl, -1) - f.entropies)).sum(-1)
    return lower, lower if component_kl.shape[2] == 1 else _mean_log_upper_bound(f, g, component_kl)


def by_convexity(f: MixtureArrays, g: MixtureArrays, component_kl: Tensor) -> Tensor:
    """Hershey and Olsen's upper bound of the divergence, minimized over phi and psi alternately."""
    cost = component_kl.detach()
    log_pi, log_omega = f.log_weights.detach()[:, :, None], g.log_weights.detach()[:, None]
    # over_b is log(phi / pi), whose exponentials sum to 1 over b for each a; over_a is log(psi / omega), whose
    # exponentials sum to 1 over a for each b. At first psi is the product of the weights.
    over_b = (log_omega - cost).log_softmax(2)
    before = torch.full_like(cost[:, 0, 0], math.inf)
    falling = torch.ones_like(before, dtype=torch.bool)
    for _ in range(_ROUNDS):
        later = over_b
        for _ in range(_ITERATIONS):
            over_a = (log_pi + later).log_softmax(1)
            later = (log_omega + over_a - cost).log_softmax(2)
        # A pair that no longer improves keeps its weights.
        over_b = torch.where(falling[:, None, None], later, over_b)
        # For this phi, and for the psi that its iteration used, which is at best as good as the next one.
        terms = (log_pi - log_omega + later - over_a + cost) * (log_pi + later).exp()
        value = terms.nansum((1, 2))
        falling = falling & (value < before * (1.0 - _IMPROVEMENT))
        before = value
        if not bool(falling.any()):
            break
    over_a = (log_pi + over_b).log_softmax(1)
    phi = f.weights[:, :, None] * over_b.exp()
    ratio = f.log_weights[:, :, None] + over_b - g.log_weights[:, None] - over_a
    # A term with phi = 0 is 0, even where the divergence is infinite.
    return torch.where(phi == 0, 0.0, phi * (ratio + component_kl)).sum((1, 2))


def mean_log_chernoff_bound(f: MixtureArrays, component_kl: Tensor) -> Tensor:
    """Kolchinsky and Tracey's upper bound of the expectation of log f under f, for the best alpha of a grid."""

    def bounds(alpha: Tensor, chosen: Tensor | None = None) -> Tensor:
        """For some alpha for each mixture, ``(n, B)``."""
        alpha = alpha[..., None].expand(*alpha.shape, f.log_weights.shape[1])
        integrals = log_integrals(f, f, alpha, 1.0 - alpha, chosen)
        log_sum = torch.logsumexp(_log_weights(f, chosen) + integrals, -1)
        return (f.weights * (log_sum - f.entropies)).sum(-1)

    nearest = _nearest(component_kl)
    grid = _ALPHA.to(component_kl)[:, None].expand(-1, len(component_kl))
    with torch.no_grad():
        values = [bounds(alpha, nearest) for alpha in grid.split(_at_once(f, f))]
        best = torch.cat(values).nan_to_num(nan=math.inf).argmin(0, keepdim=True)
    return bounds(grid.gather(0, best))[0]


def _nearest(component_kl: Tensor) -> Tensor | None:
    """For each component of f the indices of the nearest of g, where there are many; None for all."""
    if component_kl.shape[2] <= _NEAREST:
        return None
    return component_kl.detach().topk(_NEAREST, largest=False, sorted=False).indices


def _log_weights(g: MixtureArrays, chosen: Tensor | None) -> Tensor:
    """The logarithms of the weights of g, or of the components that are chosen for each of f: to add to integrals."""
    return g.log_weights[:, None] if chosen is None else picked(g.log_weights, chosen)


def _at_once(f: MixtureArrays, g: MixtureArrays) -> int:
    """How many exponents are tried at once."""
    return max(1, _ELEMENTS // max(1, f.scale[:, :, 0].numel() * min(g.mean.shape[1], _NEAREST)))


def _mean_log_upper_bound(f: MixtureArrays, g: MixtureArrays, component_kl: Tensor) -> Tensor:
    """The upper bound of the expectation of log g under f, for the best s and tau of a grid for each component of f."""
    s, tau = _S.to(f.weights), _TAU.to(f.weights)
    last = torch.tensor([len(s) - 1, len(tau) - 1], device=f.weights.device)

    def bounds(place: Tensor, chosen: Tensor | None = None) -> Tensor:
        """For places in the grid, some for each component of f: ``(n, B, K_f, 2)``."""
        of_s, of_tau = s[place[..., 0]], tau[place[..., 1]]
        integrals = log_integrals(f, g, 1.0 - of_tau * of_s, of_s, chosen)
        log_sum = torch.logsumexp(of_s[..., None] * _log_weights(g, chosen) + integrals, -1)
        return log_sum / of_s - of_tau * f.entropies

    nearest = _nearest(component_kl)
    every_tau = f.diagonal and g.diagonal

    def best(places: Tensor) -> Tensor:
        """For each component of f the place, of some, where the bound is least."""
        values = torch.cat([bounds(place, nearest) for place in places.split(_at_once(f, g))])
        chosen = values.nan_to_num(nan=math.inf).argmin(0, keepdim=True)
        return places.gather(0, chosen[..., None].expand(*chosen.shape, 2))

    # At first every other place of the grid, and then the places around the best one.
    coarse = list(itertools.product(range(1, len(s), 2), range(0, len(tau), 2)))
    if not every_tau:
        coarse = [(i, k) for i, k in coarse if k == len(tau) - 1 or (i, k) == (len(s) - 1, 0)]
    steps = list(itertools.product((-1, 0, 1), (-1, 0, 1) if every_tau else (0,)))
    with torch.no_grad():
        place = best(last.new_tensor(coarse)[:, None, None].expand(-1, *f.weights.shape, 2))
        place = best((place + last.new_tensor(steps)[:, None, None]).clamp(min=0).minimum(last))
    return (f.weights * bounds(place)[0]).sum(-1)
