"""Pairs of diagonal scales: each coordinate by itself, from what was given."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.gaussians.scales.diagonal import Diagonal, Parameterization, common_parameterization
from kullback.numerics.elementary import (
    covariance_term_of_logvars,
    covariance_term_of_stds,
    covariance_term_of_variances,
    difference_and_factor,
    half_phi,
    half_ratio,
    lifted,
    log_mean_exp,
    log_ratio,
)
from kullback.numerics.tensors import expand_event, sum_event
from kullback.pairs.base import GaussianPair


class _Forms(NamedTuple):
    """What is asked of two scales a (of p) and b (of q) in one parameterization, in the form that is exact for it.

    With the ratio of variances r.
    """

    covariance_term: Callable[[Tensor, Tensor], Tensor]
    """Half of r - 1 - log r."""
    log_ratio: Callable[[Tensor, Tensor], Tensor]
    """log r."""
    half_ratio: Callable[[Tensor, Tensor], Tensor]
    """r / 2."""
    std_difference: Callable[[Tensor, Tensor], Tensor]
    """The standard deviation of p less that of q."""


def _std_difference_of_logvars(a: Tensor, b: Tensor) -> Tensor:
    """e^(a/2) − e^(b/2), from the larger."""
    sign = torch.where(a > b, -1.0, 1.0)
    larger = torch.exp(0.5 * torch.where(a > b, a, b))
    # Equal numbers differ by 0, also where neither is one.
    larger = torch.where((a == b) & torch.isinf(larger), 1.0, larger)
    return larger * (sign * torch.expm1(sign * (0.5 * (a - b))))


_FORMS: dict[Parameterization, _Forms] = {
    "std": _Forms(
        covariance_term_of_stds,
        lambda a, b: 2.0 * log_ratio(*lifted(a, b)),
        lambda a, b: half_ratio(a, b) * (a / b),
        lambda a, b: a - b,
    ),
    "variance": _Forms(
        covariance_term_of_variances,
        lambda a, b: log_ratio(*lifted(a, b)),
        half_ratio,
        lambda a, b: (a - b) / (a.sqrt() + b.sqrt()),
    ),
    "logvar": _Forms(
        covariance_term_of_logvars,
        lambda a, b: a - b,
        lambda a, b: 0.5 * torch.exp(a - b),
        _std_difference_of_logvars,
    ),
}


@dataclass(frozen=True, eq=False)
class DiagonalPair(GaussianPair):
    """A pair of diagonals in one parameterization. The public methods' sums are over ``event``."""

    mean_p: Tensor
    p: Diagonal
    mean_q: Tensor
    q: Diagonal
    event: torch.Size

    @classmethod
    def of(cls, mean_p: Tensor, p: Diagonal, mean_q: Tensor, q: Diagonal, event: torch.Size) -> "DiagonalPair":
        """The pair, converted to one parameterization if it was given in two."""
        common = common_parameterization(p, q)
        return cls(mean_p, p.to(common), mean_q, q.to(common), event)

    @property
    def _forms(self) -> _Forms:
        return _FORMS[self.p.parameterization]

    def covariance_terms(self) -> Tensor:
        r"""Half of :math:`r - 1 - \log r` per axis, :math:`r = \sigma_p^2/\sigma_q^2`: the scale term of the KL."""
        return self._per_axis(self._forms.covariance_term(self.p.value, self.q.value))

    def mean_terms(self) -> Tensor:
        r"""Half of :math:`\Delta^2 / \sigma_q^2` per axis."""
        return self._per_axis(self.q.half_mahalanobis_terms(self.mean_p, self.mean_q))

    def log_ratio(self) -> Tensor:
        r""":math:`\log r` per axis."""
        return self._per_axis(self._forms.log_ratio(self.p.value, self.q.value))

    def std_difference(self) -> Tensor:
        r""":math:`\sigma_p - \sigma_q` per axis."""
        return self._per_axis(self._forms.std_difference(self.p.value, self.q.value))

    def hyperbolic(self) -> tuple[Tensor, Tensor]:
        r"""Per axis :math:`\Delta / \sqrt{8 \sigma_p \sigma_q}` and
        :math:`(\sigma_p - \sigma_q) / \sqrt{4 \sigma_p \sigma_q}`.
        """
        delta, factor = difference_and_factor(self.mean_p, self.mean_q)
        from_means = self.q.over_root(self.p.over_root(delta)) * factor / math.sqrt(8.0)
        return self._per_axis(from_means), torch.sinh(0.25 * self.log_ratio())

    def covariance_term(self) -> Tensor:
        """The sum of the scale terms."""
        return self._sum(self.covariance_terms())

    def half_trace(self) -> Tensor:
        """The sum of r / 2."""
        return self._sum(self._per_axis(self._forms.half_ratio(self.p.value, self.q.value)))

    def mean_term(self) -> Tensor:
        """The sum of the mean terms."""
        return self._sum(self.mean_terms())

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """Both axis by axis."""
        return self._half_gap(alpha), self._mean_term_between(alpha)

    def _half_gap(self, alpha: float) -> Tensor:
        r"""With :math:`\delta = \log r` and m the Gaussian between: from the logarithms of the ratios of p, q to m,
        :math:`\tfrac12\varphi(\delta_{pm}) + \tfrac{\alpha}{2(1-\alpha)}\varphi(\delta_{qm})`, both positive; for
        :math:`\alpha > 1` as :math:`\tfrac12\varphi(\delta) + \tfrac1{2(\alpha-1)}\varphi(\delta_{mq})`.
        """
        beta = 1.0 - alpha
        delta = self.log_ratio()
        if alpha < 1.0:
            from_p, from_q = log_mean_exp(-delta, alpha, beta), log_mean_exp(delta, beta, alpha)
            return self._sum(half_phi(-from_p) + (alpha / beta) * half_phi(-from_q))
        inside = beta * torch.expm1(delta) > -1.0
        from_q = torch.log1p(beta * torch.expm1(torch.where(inside, delta, 0.0)))
        gap = self.covariance_terms() - half_phi(from_q) / beta
        return self._sum(torch.where(inside | delta.isnan(), gap, torch.inf))

    def _mean_term_between(self, alpha: float) -> Tensor:
        """Seen from the larger of the two scales, where nothing leaves the range of numbers."""
        delta = self.log_ratio()
        p_larger = delta > 0.0
        larger = Diagonal(torch.where(p_larger, self.p.value, self.q.value), self.p.parameterization)
        weight = torch.where(p_larger, torch.full_like(delta, alpha), 1.0 - alpha)
        shrunk = 1.0 + weight * torch.expm1(torch.where(p_larger, -delta, delta))
        square = larger.half_mahalanobis_terms(self.mean_p, self.mean_q) / torch.where(shrunk > 0.0, shrunk, 1.0)
        return self._sum(self._per_axis(square))

    def _per_axis(self, terms: Tensor) -> Tensor:
        # Where both scales were given as numbers, the event has had no dimensions up to here.
        return expand_event(terms, self.event)

    def _sum(self, terms: Tensor) -> Tensor:
        return sum_event(terms, len(self.event))
