"""Cancellation-free primitives: plain torch operations, right to the last digits and under every transform.

The textbook divergences are full of ``r - 1 - log r``, which loses every digit as ``r`` approaches 1. Here it is
formed from ``log r``, by a power series near zero and by the plain expression where nothing cancels, joined by a
double ``where`` so that the branch not taken contributes neither a NaN nor a gradient.

Terms are formed *halved*, as a KL divergence takes them: halving afterwards would overflow for results in the top
half of the last binade.
"""

import math

import torch
from torch import Tensor

from kullback.numerics.gradients import with_value

# The range of log r in which the series is summed; outside, the plain expression no longer cancels. Chosen where the
# errors of the two, in values and in gradients, are equal. A difference of log-variances arrives with no rounding
# error and profits from a wider range than a ratio of scales does.
_NEAR_LOGVARS = 1.4
_NEAR_VARIANCES = (-0.8, 0.35)
_NEAR_STDS = (-0.8, 0.7)

# Up to this square the ratio asinh(z) / z is summed; the next term is below 1e-17.
_ASINH_SERIES = 0.03
_ASINH_COEFFICIENTS = [(-1) ** k * math.comb(2 * k, k) / (4**k * (2 * k + 1)) for k in range(12)]

# e^x overflows log 2 before e^x / 2 does; beyond this x the factor is split. Any value well above 1 does.
_LARGE = 64.0


def _series_terms(dtype: torch.dtype) -> int:
    """How many terms of ``sum y^k / (k+2)!`` reach an eighth of the precision of ``dtype``, ``|y| <= 0.7``."""
    k = 0
    while 2 * (0.5 * _NEAR_LOGVARS) ** k / math.factorial(k + 2) > torch.finfo(dtype).eps / 8:
        k += 1
    return k


def _series(dtype: torch.dtype) -> tuple[list[float], list[float]]:
    coefficients = [1 / math.factorial(k + 2) for k in range(_series_terms(dtype) + 1)]
    return coefficients[::2], coefficients[1::2]


# The coefficients of even and of odd powers, for each dtype that formulas compute in.
_SERIES = {dtype: _series(dtype) for dtype in (torch.float32, torch.float64)}


def _polynomial(x: Tensor, coefficients: list[float]) -> Tensor:
    total = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = total * x + coefficient
    return total


def half_phi_near(x: Tensor) -> Tensor:
    r"""Half of :math:`\varphi(x) = e^x - 1 - x \ge 0` for :math:`|x| \le 1.4`.

    By doubling, :math:`\varphi(2y) = (y + \varphi(y))^2 + 2\varphi(y)`: nothing cancels, neither here nor in the
    derivatives that autograd takes, and the series for :math:`\varphi(y)` is short. (The square is that of
    ``expm1(y)``, which some compilers turn into ``exp(y) - 1``.)
    """
    y = 0.5 * x
    square = y * y
    # Even and odd powers apart: half as many terms meet in the derivative, and half of its rounding errors.
    even, odd = _SERIES[x.dtype]
    phi = y * (y * (_polynomial(square, even) + y * _polynomial(square, odd)))
    m = y + phi
    return m * (0.5 * m) + phi


def half_expm1(x: Tensor) -> Tensor:
    """Half of ``expm1(x)`` for ``|x| > 1.4``, finite as long as the half is."""
    large, negative = x > _LARGE, x < 0.0
    # x - 1 is exact there, and e/2 e^(x-1) is finite as long as e^x / 2 is.
    grown = (0.5 * math.e) * torch.exp(torch.where(large, x, _LARGE) - 1.0)
    moderate = 0.5 * torch.expm1(torch.where(large | negative, _LARGE, x))
    # The derivative of expm1 is taken as expm1 + 1, which loses everything for very negative x; that of exp is not.
    shrunk = 0.5 * torch.exp(torch.where(negative, x, 0.0)) - 0.5
    return torch.where(large, grown, torch.where(negative, shrunk, moderate))


def half_phi(x: Tensor) -> Tensor:
    r"""Half of :math:`\varphi(x) = e^x - 1 - x \ge 0`."""
    near = x.abs() < _NEAR_LOGVARS
    far = half_expm1(torch.where(near, _NEAR_LOGVARS, x)) - 0.5 * x
    return torch.where(near, half_phi_near(torch.where(near, x, 0.0)), far)


def log_mean_exp(x: Tensor, weight: float, complement: float) -> Tensor:
    """``log(complement + weight e^x)`` for two weights that sum to 1, also where e^x leaves the range of numbers."""
    large, small = x > _LARGE, (x < -1.0) & (weight > 0.5)
    near = torch.log1p(weight * torch.expm1(torch.where(large | small, 0.0, x)))
    above = x + torch.log(weight + complement * torch.exp(-torch.where(large, x, _LARGE)))
    below = torch.log(complement + weight * torch.exp(torch.where(small, x, -1.0)))
    return torch.where(large, above, torch.where(small, below, near))


def log_ratio(a: Tensor, b: Tensor) -> Tensor:
    """``log(a / b)`` of two positive numbers, to the last digits near 1 and where the quotient leaves the range.

    Its value comes from ``log1p`` of the relative difference, its derivatives from ``log a - log b``, of which they are
    ``1/a`` and ``-1/b`` with one rounding each.
    """
    carrier = torch.log(a) - torch.log(b)
    a, b = a.detach(), b.detach()
    below = a < b
    change = (a - b) / torch.where(below, a, b)
    sign = torch.where(below, -1.0, 1.0)
    value = sign * torch.log1p(sign * change)
    # Infinite where the quotient is; in float32 of torch 2.6 also where log1p overflows before it.
    return with_value(carrier, torch.where(torch.isfinite(value), value, carrier))


def half_ratio(a: Tensor, b: Tensor) -> Tensor:
    """``a / (2 b)``, finite as long as that is, with nothing lost to subnormal numbers."""
    factor = torch.where(b < 1.0, 2.0, 1.0)
    return a / (b * factor) * (0.5 * factor)


def lifted(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two numbers of the same ratio, out of the subnormal range, where the parts of a derivative would overflow.

    Numbers that are not small stay as they are: a tiny upstream gradient, divided by larger ones, would underflow.
    """
    # In their dtype: a number of the default one, with dimensions, would win against a tensor without any.
    factor = torch.where(torch.maximum(a, b) < 2.0**-60, 2.0**60, 1.0).to(a.dtype)
    return a * factor, b * factor


def covariance_term_of_variances(a: Tensor, b: Tensor) -> Tensor:
    r"""Half of :math:`r - 1 - \log r` for the ratio :math:`r = a/b` of two variances.

    Near 1 it is :math:`\varphi(\log r)`, elsewhere :math:`t - \log(1 + t)` with :math:`t = (a-b)/b`.
    """
    a, b = lifted(a, b)
    log_r = log_ratio(a, b)
    near = (log_r > _NEAR_VARIANCES[0]) & (log_r < _NEAR_VARIANCES[1])
    series = half_phi_near(torch.where(near, log_r, 0.0))
    far = half_ratio(a - b, b) - 0.5 * log_r
    return torch.where(near, series, far)


def covariance_term_of_stds(a: Tensor, b: Tensor) -> Tensor:
    r"""The same for :math:`r = (a/b)^2`, the squared ratio of two standard deviations: near 1 as above, elsewhere
    :math:`t^2 + 2(t - \log(1 + t))`.
    """
    a, b = lifted(a, b)
    half_log_r = log_ratio(a, b)
    log_r = 2.0 * half_log_r
    near = (log_r > _NEAR_STDS[0]) & (log_r < _NEAR_STDS[1])
    series = half_phi_near(torch.where(near, log_r, 0.0))
    t = torch.where(near, 0.0, a - b) / torch.where(near, 1.0, b)
    far = t * (0.5 * t) + (t - half_log_r)
    return torch.where(near, series, far)


def covariance_term_of_logvars(a: Tensor, b: Tensor) -> Tensor:
    r"""The same for :math:`\log r = a - b`, without the rounding error of that difference.

    The error alone costs 32 units in the last place at ``|a| = 80`` in float32. So the difference is carried as an
    unevaluated sum of two numbers (Knuth's two-sum), of which the lower enters to first order.
    """
    log_r = a - b
    low = _rounding_of_difference(a.detach(), b.detach(), log_r.detach())
    near = log_r.abs() < _NEAR_LOGVARS
    x = torch.where(near, log_r, 0.0)
    far = half_expm1(torch.where(near, _NEAR_LOGVARS, log_r)) * (1.0 + low) - 0.5 * log_r
    return torch.where(near, half_phi_near(x) + low * (0.5 * torch.expm1(x)), far)


def difference_and_factor(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """``a - b`` divided by a power of two that keeps it from overflowing, and that power (almost always 1)."""
    factor = torch.where(torch.maximum(a.abs(), b.abs()) > 0.25 * torch.finfo(a.dtype).max, 2.0, 1.0)
    return a / factor - b / factor, factor


def _rounding_of_difference(a: Tensor, b: Tensor, difference: Tensor) -> Tensor:
    """What ``a - b`` lost when it was rounded to ``difference``, exactly. Its derivative is zero."""
    a_seen = difference + b
    low = (a - a_seen) - (b - (a_seen - difference))
    return torch.where(torch.isfinite(low), low, 0.0)


def square_root(x: Tensor) -> Tensor:
    """The square root of a non-negative number, with subgradient 0 at 0, where there is no derivative."""
    positive = x > 0
    return torch.where(positive, torch.sqrt(torch.where(positive, x, 1.0)), 0.0 * x.detach())


def length(components: Tensor, dims: tuple[int, ...]) -> Tensor:
    """The Euclidean length over ``dims``, subgradient 0 at 0; its square may leave the range of numbers."""
    size = components.detach().abs().amax(dims, keepdim=True)
    size = torch.where((size > 0) & torch.isfinite(size), size, 1.0)
    return square_root((components / size).square().sum(dims)) * size.reshape(size.shape[: size.ndim - len(dims)])


def asinh_ratio(components: Tensor) -> Tensor:
    """``asinh(z) / z`` of the length z over the last dimension: smooth at 0, and large components do no harm."""
    square = components.square().sum(-1)
    near = square < _ASINH_SERIES
    z = square_root_of_squares(torch.where(near.unsqueeze(-1), 1.0, components))
    series = _polynomial(torch.where(near, square, 0.0), _ASINH_COEFFICIENTS)
    return torch.where(near, series, torch.asinh(z) / z)


def square_root_of_squares(components: Tensor) -> Tensor:
    """The length over the last dimension of components that are not all 0."""
    size = components.detach().abs().amax(-1, keepdim=True)
    return (components / size).square().sum(-1).sqrt() * size.squeeze(-1)


def power_of_two(x: Tensor) -> Tensor:
    """A power of two within a factor of 2 of a positive number; 1 for what is none, or not finite."""
    valid = (x > 0) & torch.isfinite(x)
    x = torch.where(valid, x, 0.5)
    return x / torch.frexp(x).mantissa


def log_linear_exp(a: Tensor, b: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    r"""The logarithm of :math:`|a e^z + b|`, and whether :math:`a e^z + b > 0`; a and b are not both 0.

    The exponential is not formed. Nothing cancels unless a and b have opposite signs.
    """
    first, second = _log_abs(a) + z, _log_abs(b) + torch.zeros_like(z)
    high, behind = torch.maximum(first, second), -(first - second).abs()
    opposite = a * b < 0
    away = torch.where(opposite, behind, -1.0)
    log_sum = high + torch.where(opposite, (-torch.expm1(away)).log(), behind.exp().log1p())
    sign = torch.where(first >= second, a.sign(), b.sign())
    return log_sum, (sign > 0) & (log_sum > -torch.inf)


def _log_abs(x: Tensor) -> Tensor:
    """The logarithm of |x|, -∞ without a gradient at 0."""
    zero = x == 0
    return torch.where(zero, -torch.inf, torch.where(zero, 1.0, x).abs().log())
