r"""Proved bounds of the Kullback–Leibler divergence of mixtures, from the closed forms of their components.

With :math:`f = \sum_a \pi_a f_a` and :math:`g = \sum_b \omega_b g_b` it is
:math:`\mathrm E_f \log f - \mathrm E_f \log g`, and each of the two lies between sums over pairs of components.
"""

import itertools
import math
from typing import Any

import torch
from torch import Tensor

from kullback.adapt.arrays import as_given
from kullback.all_pairs import pairwise
from kullback.bounds import Bounds
from kullback.common import broadcast_shapes, common_device, common_dtype, common_kind, no_autocast
from kullback.divergences.formula import check_shapes
from kullback.estimate.densities import Foreign, as_density
from kullback.gaussian import Gaussian
from kullback.linear_algebra import cholesky, solve_lower_vector
from kullback.mixture import Mixture
from kullback.scale.base import MatrixScale
from kullback.scale.diagonal import Diagonal, rows

# The exponents s and tau of the family that bounds a mean of log g from above; all taus for diagonals only.
_S = torch.logspace(math.log10(0.005), 0.0, 14, dtype=torch.float64).tolist()
_TAU = (0.0, 0.25, 0.5, 0.75, 1.0)
_ALPHA = torch.linspace(0.1, 0.9, 9, dtype=torch.float64).tolist()

# Rounds of the two-sided minimisation, each of which lowers the bound.
_ROUNDS = 100

# Numbers of a tile of pairs.
_NUMBERS = 2**20


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
      over b and a are :math:`\pi` and :math:`\omega` (Hershey and Olsen), minimised in turns.

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
    p, q = _density(p, "p"), _density(q, "q")
    f, g = _mixture(p), _mixture(q)
    check_shapes(p, q)
    batch = broadcast_shapes(f.batch_shape, g.batch_shape)
    parts = [f.components, g.components]
    dtype, device = common_dtype(parts), common_device(parts)
    with no_autocast(device):
        pairs = [_bounds(*pair) for pair in zip(_each(f, batch, device), _each(g, batch, device), strict=True)]
        lower, upper = (torch.stack(x).reshape(batch).to(dtype) for x in zip(*pairs, strict=True))
    numpy = common_kind([p, q]) is True
    return Bounds(as_given(lower, numpy=numpy), as_given(upper, numpy=numpy))


def _density(x: Any, name: str) -> Gaussian | Mixture:
    density = as_density(x, name)
    if isinstance(density, Foreign):
        got = type(x).__name__
        raise TypeError(f"{name} must be a Mixture or a Gaussian, got {got}: kl_estimate takes any density.")
    return density


def _mixture(x: Gaussian | Mixture) -> Mixture:
    """A Gaussian is a mixture of one."""
    if isinstance(x, Mixture):
        return x
    one = x if x.tensors() else x.to()
    return Mixture.from_logits(torch.zeros(1, dtype=common_dtype([one]), device=one.device), one[..., None])


class _Side:
    """One mixture in float64: its weights, and what integrals need of its components."""

    def __init__(self, log_weights: Tensor, components: Gaussian) -> None:
        # A weight of 0 is as good as one of 1e-304, and its logarithm is a number.
        self.log_weights, self.components = log_weights.clamp(min=-700.0), components
        self.weights = log_weights.exp()
        self.d = components.event_size
        self.log_det = 2.0 * components.scale.half_log_det(components.event_shape).expand(components.batch_shape)
        self.entropies = 0.5 * (self.d * (1.0 + math.log(2 * math.pi)) + self.log_det)
        self.diagonal = isinstance(components.scale, Diagonal)
        # Here, where gradients are recorded: variances of diagonals, covariances of others.
        if self.diagonal:
            self.mean, self.scale = rows(components, "variance")
        else:
            assert isinstance(components.scale, MatrixScale)
            shape = (len(components), self.d, self.d)
            self.mean, self.scale = components.mean.expand(shape[:2]), components.scale.covariance().expand(shape)

    def matrices(self) -> Tensor:
        """Covariance matrices."""
        return self.scale.diag_embed() if self.diagonal else self.scale


def _each(mixture: Mixture, batch: torch.Size, device: torch.device) -> list[_Side]:
    size = mixture.n_components
    g = mixture.components.cast(torch.float64, device)
    log_weights = mixture.log_weights.to(dtype=torch.float64, device=device).expand(*batch, size)
    whole = Gaussian(g.mean.expand(*batch, size, *g.event_shape), g.scale, len(g.event_shape), numpy=False)
    return [_Side(log_weights[i], whole[i]) for i in itertools.product(*map(range, batch))]


def _bounds(f: _Side, g: _Side) -> tuple[Tensor, Tensor]:
    between = torch.as_tensor(pairwise(f.components, g.components))
    if between.numel() == 1:
        return between[0, 0], between[0, 0]
    within = torch.as_tensor(pairwise(f.components, f.components))
    log_g_low = (f.weights * (torch.logsumexp(g.log_weights - between, -1) - f.entropies)).sum()
    log_f_low = (f.weights * (torch.logsumexp(f.log_weights - within, -1) - f.entropies)).sum()
    log_g_high = log_g_low if between.shape[1] == 1 else _mean_log_above(f, g)
    log_f_high = torch.minimum(_mean_log_above(f, f), _by_chernoff(f))
    upper = torch.minimum(_by_convexity(f, g, between), log_f_high - log_g_low).clamp(min=0.0)
    lower = (log_f_low - log_g_high).clamp(min=0.0)
    # What is left of rounding where they meet.
    return torch.minimum(lower, upper), upper


def _by_convexity(f: _Side, g: _Side, between: Tensor) -> Tensor:
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


def _by_chernoff(f: _Side) -> Tensor:
    """The mean of log f is at most this, for the best alpha."""

    def bound(alpha: float) -> Tensor:
        exponents = torch.full_like(f.weights, 1.0 - alpha)
        integrals = _log_integrals(f, f, 1.0 - exponents, exponents)
        return (f.weights * (torch.logsumexp(f.log_weights + integrals, -1) - f.entropies)).sum()

    with torch.no_grad():
        best = min(_ALPHA, key=lambda alpha: float(bound(alpha)))
    return bound(best)


def _mean_log_above(f: _Side, g: _Side) -> Tensor:
    """The mean over f of log g is at most this: the best exponents for each component of f."""

    def bounds(s: Tensor, tau: Tensor) -> Tensor:
        integrals = _log_integrals(f, g, 1.0 - tau * s, s)
        return torch.logsumexp(s[:, None] * g.log_weights + integrals, -1) / s - tau * f.entropies

    every_tau = f.diagonal and g.diagonal
    grid = [(s, tau) for s in _S for tau in _TAU if every_tau or tau == 1.0 or (s, tau) == (1.0, 0.0)]
    with torch.no_grad():
        every = torch.stack([bounds(*(torch.full_like(f.weights, x) for x in pair)) for pair in grid])
        chosen = every.nan_to_num(nan=math.inf).argmin(0)
        s, tau = torch.tensor(grid, dtype=torch.float64, device=f.weights.device)[chosen].unbind(-1)
    return (f.weights * bounds(s, tau)).sum()


def _log_integrals(f: _Side, g: _Side, a: Tensor, b: Tensor) -> Tensor:
    r""":math:`\log \int f_i^{a_i} g_j^{b_i}` for each pair, in tiles: with :math:`M = a \Sigma_j + b \Sigma_i`,

    .. math:: \tfrac d2 (1 - a - b) \log 2\pi + \tfrac{1 - a}2 \log\det\Sigma_i + \tfrac{1 - b}2 \log\det\Sigma_j
        - \tfrac12 \log\det M - \tfrac{ab}2 \Delta^\top M^{-1} \Delta .
    """
    diagonal, d = f.diagonal and g.diagonal, f.d
    scale_p, scale_q = (x.scale if diagonal else x.matrices() for x in (f, g))
    terms = _axis_terms if diagonal else _matrix_terms
    step = max(1, _NUMBERS // (scale_q.numel() or 1))
    parts = (slice(i, i + step) for i in range(0, len(f.mean), step))
    tiles = [terms(f.mean[i, None], scale_p[i, None], g.mean, scale_q, a[i, None], b[i, None]) for i in parts]
    a, b = a[:, None], b[:, None]
    constant = 0.5 * d * (1.0 - a - b) * math.log(2 * math.pi)
    return constant + 0.5 * (1.0 - a) * f.log_det[:, None] + 0.5 * (1.0 - b) * g.log_det - 0.5 * torch.cat(tiles)


def _axis_terms(mean_p: Tensor, v_p: Tensor, mean_q: Tensor, v_q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    m = a[..., None] * v_q + b[..., None] * v_p
    return (m.log() + (a * b)[..., None] * (mean_p - mean_q).square() / m).sum(-1)


def _matrix_terms(mean_p: Tensor, cov_p: Tensor, mean_q: Tensor, cov_q: Tensor, a: Tensor, b: Tensor) -> Tensor:
    factor = cholesky(a[..., None, None] * cov_q + b[..., None, None] * cov_p)
    y = solve_lower_vector(factor, mean_p - mean_q)
    return 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) + a * b * y.square().sum(-1)
