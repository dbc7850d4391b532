"""What the Hessian of the divergence of diagonals makes of a direction, in closed form.

The gradient of a gradient, which Fisher-vector products take. Plain operations, differentiable as often as one likes.
In a direction whose components are ``u`` for the difference of the means, ``v`` for the scale of p and ``w`` for that
of q; each coordinate by itself.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

_Three = tuple[Tensor, Tensor, Tensor]


class Derivatives(NamedTuple):
    """With respect to the mean of p (minus that of q), the scale of p and the scale of q."""

    gradient: Callable[[Tensor, Tensor, Tensor], _Three]
    """Of the difference of the means and both scales."""
    hessian_product: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], _Three]
    """Of the same, and of the components of a direction."""


def _std_gradient(delta: Tensor, a: Tensor, b: Tensor) -> _Three:
    z, r = delta / b, a / b
    change = (r - 1.0) * (r + 1.0)
    return z / b, change / a, -(change + z * z) / b


def _std_product(delta: Tensor, a: Tensor, b: Tensor, u: Tensor, v: Tensor, w: Tensor) -> _Three:
    z, r, u, v, w = delta / b, a / b, u / b, v / b, w / b
    of_mean = u - 2.0 * z * w
    of_p = v + v / (r * r) - 2.0 * r * w
    of_q = (3.0 * (r * r + z * z) - 1.0) * w - 2.0 * (z * u + r * v)
    return of_mean / b, of_p / b, of_q / b


def _variance_gradient(delta: Tensor, a: Tensor, b: Tensor) -> _Three:
    slope, t = delta / b, (a - b) / b
    return slope, 0.5 * t / a, -0.5 * (t + delta * slope) / b


def _variance_product(delta: Tensor, a: Tensor, b: Tensor, u: Tensor, v: Tensor, w: Tensor) -> _Three:
    slope, r, v, w = delta / b, a / b, v / b, w / b
    of_q = (r + delta * slope - 0.5) * w - slope * u - 0.5 * v
    return (u - delta * w) / b, 0.5 * (v / (r * r) - w) / b, of_q / b


def _logvar_gradient(delta: Tensor, a: Tensor, b: Tensor) -> _Three:
    slope, grown = delta * torch.exp(-b), torch.expm1(a - b)
    return slope, 0.5 * grown, -0.5 * (grown + delta * slope)


def _logvar_product(delta: Tensor, a: Tensor, b: Tensor, u: Tensor, v: Tensor, w: Tensor) -> _Three:
    precision, half_ratio = torch.exp(-b), 0.5 * torch.exp(a - b)
    slope = delta * precision
    of_p = half_ratio * (v - w)
    return precision * u - slope * w, of_p, slope * (0.5 * delta * w - u) - of_p


DERIVATIVES = {
    "std": Derivatives(_std_gradient, _std_product),
    "variance": Derivatives(_variance_gradient, _variance_product),
    "logvar": Derivatives(_logvar_gradient, _logvar_product),
}
"""For each parameterization."""
