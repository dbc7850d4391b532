"""Pairs of diagonal scales: each coordinate by itself, from what was given."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.common import broadcast_shapes, sum_event
from kullback.numerics import (
    difference_and_factor,
    half_excess_of_logvars,
    half_excess_of_stds,
    half_excess_of_variances,
    half_phi,
    half_ratio,
    lifted,
    log_mean_exp,
    log_ratio,
)
from kullback.relative.base import Relative
from kullback.scale.diagonal import Diagonal, Parameterisation, common_parameterisation

_HALF_EXCESS: dict[Parameterisation, Callable[[Tensor, Tensor], Tensor]] = {
    "std": half_excess_of_stds,
    "variance": half_excess_of_variances,
    "logvar": half_excess_of_logvars,
}

# log r, r the ratio of the variances.
_LOG_RATIO: dict[Parameterisation, Callable[[Tensor, Tensor], Tensor]] = {
    "std": lambda a, b: 2.0 * log_ratio(*lifted(a, b)),
    "variance": lambda a, b: log_ratio(*lifted(a, b)),
    "logvar": lambda a, b: a - b,
}

# The difference of the standard deviations.
_STD_DIFFERENCE: dict[Parameterisation, Callable[[Tensor, Tensor], Tensor]] = {
    "std": lambda a, b: a - b,
    "variance": lambda a, b: (a - b) / (a.sqrt() + b.sqrt()),
    "logvar": lambda a, b: _of_logs(a, b),
}

# r / 2.
_HALF_RATIO: dict[Parameterisation, Callable[[Tensor, Tensor], Tensor]] = {
    "std": lambda a, b: half_ratio(a, b) * (a / b),
    "variance": half_ratio,
    "logvar": lambda a, b: 0.5 * torch.exp(a - b),
}


def _of_logs(a: Tensor, b: Tensor) -> Tensor:
    """e^(a/2) − e^(b/2), from the larger."""
    sign = torch.where(a > b, -1.0, 1.0)
    larger = torch.exp(0.5 * torch.where(a > b, a, b))
    # Equal numbers differ by 0, also where neither is one.
    larger = torch.where((a == b) & torch.isinf(larger), 1.0, larger)
    return larger * (sign * torch.expm1(sign * (0.5 * (a - b))))


@dataclass(frozen=True, eq=False)
class Axes(Relative):
    """A pair of diagonals in one parameterisation. The public methods' sums are over ``event``."""

    mean_p: Tensor
    p: Diagonal
    mean_q: Tensor
    q: Diagonal
    event: torch.Size

    @classmethod
    def of(cls, mean_p: Tensor, p: Diagonal, mean_q: Tensor, q: Diagonal, event: torch.Size) -> "Axes":
        """The pair, converted to one parameterisation if it was given in two."""
        given = common_parameterisation(p, q)
        return cls(mean_p, p.to(given), mean_q, q.to(given), event)

    def excess_terms(self) -> Tensor:
        r"""Half of :math:`r - 1 - \log r` per axis, :math:`r = \sigma_p^2/\sigma_q^2`: the scale term of the KL."""
        return self._per_axis(_HALF_EXCESS[self.p.given](self.p.tensor, self.q.tensor))

    def square_terms(self) -> Tensor:
        r"""Half of :math:`\Delta^2 / \sigma_q^2` per axis."""
        return self._per_axis(self.q.half_square_distance(self.mean_p, self.mean_q))

    def log_ratio(self) -> Tensor:
        r""":math:`\log r` per axis."""
        return self._per_axis(_LOG_RATIO[self.p.given](self.p.tensor, self.q.tensor))

    def std_difference(self) -> Tensor:
        r""":math:`\sigma_p - \sigma_q` per axis."""
        return self._per_axis(_STD_DIFFERENCE[self.p.given](self.p.tensor, self.q.tensor))

    def hyperbolic(self) -> tuple[Tensor, Tensor]:
        r"""Per axis :math:`\Delta / \sqrt{8 \sigma_p \sigma_q}` and
        :math:`(\sigma_p - \sigma_q) / \sqrt{4 \sigma_p \sigma_q}`.
        """
        delta, factor = difference_and_factor(self.mean_p, self.mean_q)
        from_means = self.q.over_root(self.p.over_root(delta)) * factor / math.sqrt(8.0)
        return self._per_axis(from_means), torch.sinh(0.25 * self.log_ratio())

    def half_excess(self) -> Tensor:
        """The sum of the scale terms."""
        return self._sum(self.excess_terms())

    def half_trace(self) -> Tensor:
        """The sum of r / 2."""
        return self._sum(self._per_axis(_HALF_RATIO[self.p.given](self.p.tensor, self.q.tensor)))

    def half_square(self) -> Tensor:
        """The sum of the mean terms."""
        return self._sum(self.square_terms())

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """Both axis by axis."""
        return self._half_gap(alpha), self._half_square_between(alpha)

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
        gap = self.excess_terms() - half_phi(from_q) / beta
        return self._sum(torch.where(inside | delta.isnan(), gap, torch.inf))

    def _half_square_between(self, alpha: float) -> Tensor:
        """Seen from the larger of the two scales, where nothing leaves the range of numbers."""
        delta = self.log_ratio()
        p_larger = delta > 0.0
        larger = Diagonal(torch.where(p_larger, self.p.tensor, self.q.tensor), self.p.given)
        weight = torch.where(p_larger, torch.full_like(delta, alpha), 1.0 - alpha)
        shrunk = 1.0 + weight * torch.expm1(torch.where(p_larger, -delta, delta))
        square = larger.half_square_distance(self.mean_p, self.mean_q) / torch.where(shrunk > 0.0, shrunk, 1.0)
        return self._sum(self._per_axis(square))

    def _per_axis(self, terms: Tensor) -> Tensor:
        # Where both were given as numbers, the event has had no dimensions up to here.
        return terms.broadcast_to(broadcast_shapes(terms.shape, self.event))

    def _sum(self, terms: Tensor) -> Tensor:
        return sum_event(terms, len(self.event))
