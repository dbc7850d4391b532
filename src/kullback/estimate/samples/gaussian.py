r"""What samples of Gaussians say by their means and covariances: unbiased estimates, with their errors.

With the unbiased covariances :math:`S_p, S_q` of n and m rows, :math:`\nu = m - 1`, and what a log-determinant of d
coordinates is off by on average, :math:`B(\nu) = \sum_{i=1}^d \psi(\tfrac{\nu - i + 1}2) + d \log \tfrac2\nu`,

.. math:: \tfrac12 \Bigl\{ \tfrac{\nu - d - 1}\nu \bigl[ (1 - \tfrac1n) \operatorname{tr}(S_q^{-1} S_p)
    + \Delta^\top S_q^{-1} \Delta \bigr] - \tfrac dm - d + \log\tfrac{|S_q|}{|S_p|} - B(m - 1) + B(n - 1) \Bigr\}

has the mean :math:`D(p \,\|\, q)`: so do the parts that follow.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.linear_algebra import cholesky, solve_lower, solve_lower_vector


@dataclass(frozen=True, eq=False)
class Moments:
    """The mean and the factor of the unbiased covariance of n rows."""

    n: int
    mean: Tensor  # (d,)
    factor: Tensor  # (d, d), lower

    @property
    def d(self) -> int:
        """How many coordinates."""
        return len(self.mean)

    def log_det(self) -> Tensor:
        """An unbiased estimate of the log-determinant of the covariance."""
        return 2.0 * self.factor.diagonal().log().sum() - _log_det_bias(self.n - 1, self.d)

    def standardised(self, rows: Tensor) -> Tensor:
        """Rows as they would be seen were the mean 0 and the covariance the identity."""
        return solve_lower(self.factor, (rows - self.mean).mT).mT


def moments_of(rows: Tensor) -> Moments:
    """Of rows ``(n, d)`` that have been whitened, so that nothing cancels. Differentiable."""
    n, mean = len(rows), rows.mean(0)
    centred = rows - mean
    return Moments(n, mean, cholesky(centred.mT @ centred / (n - 1)))


def _log_det_bias(nu: int, d: int) -> float:
    i = torch.arange(1, d + 1, dtype=torch.float64)
    return float(torch.special.digamma((nu - i + 1) / 2).sum()) + d * math.log(2 / nu)


def entropy(p: Moments) -> Tensor:
    """An unbiased estimate of the entropy of a Gaussian."""
    return 0.5 * (p.d * (1 + math.log(2 * math.pi)) + p.log_det())


def divergence(p: Moments, q: Moments) -> Tensor:
    """An unbiased estimate of the divergence of Gaussians."""
    nu, d = q.n - 1, p.d
    trace = solve_lower(q.factor, p.factor).square().sum()
    square = solve_lower_vector(q.factor, p.mean - q.mean).square().sum()
    quadratic = (nu - d - 1) / nu * ((1 - 1 / p.n) * trace + square)
    return 0.5 * (quadratic - d / q.n - d + q.log_det() - p.log_det())


def log_ratio(x: Tensor, p: Moments, q: Moments) -> Tensor:
    """The logarithm of the ratio of Gaussians with these moments at each row."""
    own, other = (side.standardised(x).square().sum(1) for side in (p, q))
    return 0.5 * (other - own) + (q.factor.diagonal() / p.factor.diagonal()).log().sum()


def divergence_variance(x: Tensor, y: Tensor, p: Moments, q: Moments) -> Tensor:
    r"""The variance of :func:`divergence`, by its influence functions.

    In coordinates where :math:`S_q` is the identity, with :math:`A = S_p + \Delta\Delta^\top` and rows centred at their
    means, :math:`\tfrac12 (|x|^2 - x^\top S_p^{-1} x) + x^\top \Delta` and
    :math:`\tfrac12 (|y|^2 - y^\top A y) - y^\top \Delta`.
    """
    delta = solve_lower_vector(q.factor, p.mean - q.mean)
    seen = solve_lower(q.factor, (x - p.mean).mT).mT
    of_x = 0.5 * (seen.square().sum(1) - p.standardised(x).square().sum(1)) + seen @ delta
    seen = q.standardised(y)
    root = solve_lower(q.factor, p.factor)
    of_y = 0.5 * (seen.square().sum(1) - (seen @ root).square().sum(1) - (seen @ delta).square()) - seen @ delta
    return _less_noise(of_x.var() / p.n + of_y.var() / q.n, p.d, p.n, q.n)


def against_density_variance(log_q: Tensor, x: Tensor, p: Moments) -> Tensor:
    """The variance of the mean of -log q less :func:`entropy`, for rows with these log-densities."""
    influence = -log_q - 0.5 * p.standardised(x).square().sum(1)
    return _less_noise(influence.var() / p.n, p.d, p.n, None)


def _less_noise(first: Tensor, d: int, n: int, m: int | None) -> Tensor:
    """The variance from that of the influences, whose parameters are estimated.

    Where p is q the influences are 0 and what is left is of the second order; but estimated ones have a variance, on
    average ``noise``, which is more than that. In few coordinates it is left in: where the estimate is low by chance
    the variance is too, and an interval would be too short just where it misses.
    """
    rest = 0.25 * d * (d + 3) * (1 / (n - d - 1) + (1 / (m - d - 1) if m else 0.0)) ** 2
    return torch.clamp(first - max(0.0, 1.0 - 3.0 / d) * _noise(d, n, m) + rest, min=rest)


def _noise(d: int, n: int, m: int | None) -> float:
    r"""The mean over samples of one Gaussian of what the influences' variance gives there.

    It is :math:`(\tfrac1n + \tfrac1m) \mathrm E [\tfrac12 \operatorname{tr} (A - I)^2 + |\Delta|^2]` for A of one
    Wishart matrix and the inverse of another, whose first two moments are known.
    """
    mu, nu = n - 1, m - 1 if m else None
    if nu is None:
        first, square, trace_square = 1.0, 1.0, float(d)
    else:
        below = nu - d - 1
        first = nu / below
        c = nu**2 / ((nu - d) * below * max(nu - d - 3, 1))
        square, trace_square = (nu - 1) * c, ((nu - d - 2) * d + 2) * c
    # E tr (A - I)^2 = E tr A^2 - 2 E tr A + d.
    spread = ((mu + 1) * square * d + d * trace_square) / mu - 2.0 * first * d + d
    each = 1 / n + (1 / m if m else 0.0)
    return each * (0.5 * spread + d * each * first)


def surrogate(p: Moments, generator: torch.Generator) -> Tensor:
    """Rows drawn from a Gaussian, and moved to have exactly these moments."""
    normal = torch.randn(p.n, p.d, generator=generator, dtype=torch.float64)
    return moments_of(normal).standardised(normal) @ p.factor.mT + p.mean
