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

from kullback.numerics.linear_algebra import cholesky, solve_lower, solve_lower_vector


@dataclass(frozen=True, eq=False)
class SampleMoments:
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

    def standardized(self, rows: Tensor) -> Tensor:
        """Rows as they would be seen were the mean 0 and the covariance the identity."""
        return solve_lower(self.factor, (rows - self.mean).mT).mT


def sample_moments(rows: Tensor) -> SampleMoments:
    """Of rows ``(n, d)`` that have been whitened, so that nothing cancels. Differentiable."""
    n, mean = len(rows), rows.mean(0)
    centred = rows - mean
    return SampleMoments(n, mean, cholesky(centred.mT @ centred / (n - 1)))


def _log_det_bias(nu: int, d: int) -> float:
    i = torch.arange(1, d + 1, dtype=torch.float64)
    return float(torch.special.digamma((nu - i + 1) / 2).sum()) + d * math.log(2 / nu)


def entropy(p: SampleMoments) -> Tensor:
    """An unbiased estimate of the entropy of a Gaussian."""
    return 0.5 * (p.d * (1 + math.log(2 * math.pi)) + p.log_det())


def divergence(p: SampleMoments, q: SampleMoments) -> Tensor:
    """An unbiased estimate of the divergence of Gaussians."""
    nu, d = q.n - 1, p.d
    trace = solve_lower(q.factor, p.factor).square().sum()
    square = solve_lower_vector(q.factor, p.mean - q.mean).square().sum()
    quadratic = (nu - d - 1) / nu * ((1 - 1 / p.n) * trace + square)
    return 0.5 * (quadratic - d / q.n - d + q.log_det() - p.log_det())


def log_ratio(x: Tensor, p: SampleMoments, q: SampleMoments) -> Tensor:
    """The logarithm of the ratio of Gaussians with these moments at each row."""
    own, other = (side.standardized(x).square().sum(1) for side in (p, q))
    return 0.5 * (other - own) + (q.factor.diagonal() / p.factor.diagonal()).log().sum()


def divergence_variance(x: Tensor, y: Tensor, p: SampleMoments, q: SampleMoments) -> Tensor:
    r"""The variance of :func:`divergence`, by its influence functions.

    In coordinates where :math:`S_q` is the identity, with :math:`A = S_p + \Delta\Delta^\top` and rows centred at their
    means, :math:`\tfrac12 (|x|^2 - x^\top S_p^{-1} x) + x^\top \Delta` and
    :math:`\tfrac12 (|y|^2 - y^\top A y) - y^\top \Delta`.
    """
    delta = solve_lower_vector(q.factor, p.mean - q.mean)
    seen = solve_lower(q.factor, (x - p.mean).mT).mT
    of_x = 0.5 * (seen.square().sum(1) - p.standardized(x).square().sum(1)) + seen @ delta
    seen = q.standardized(y)
    root = solve_lower(q.factor, p.factor)
    of_y = 0.5 * (seen.square().sum(1) - (seen @ root).square().sum(1) - (seen @ delta).square()) - seen @ delta
    a = root @ root.mT
    both = a + torch.outer(delta, delta)
    first = (of_x.var() + _lacking(a, p.n)) / p.n + (of_y.var() + _lacking(both, q.n)) / q.n
    return _less_noise(first, a, both, p.n, q.n)


def against_density_variance(log_q: Tensor, x: Tensor, p: SampleMoments) -> Tensor:
    """The variance of the mean of -log q less :func:`entropy`, for rows with these log-densities.

    As if q were a Gaussian: how p looks from there, up to directions, is the slope of -log q in half the squares.
    """
    half_squares = 0.5 * p.standardized(x).square().sum(1)
    slope = torch.stack([-log_q, half_squares]).cov()[0, 1] / half_squares.var()
    a = slope * torch.eye(p.d, dtype=torch.float64)
    first = ((-log_q - half_squares).var() + _lacking(a, p.n)) / p.n
    return _less_noise(first, a, a, p.n, None)


def _lacking(a: Tensor, n: int) -> Tensor:
    r"""What the variance of :math:`\tfrac12 z^\top (A - I) z` over n rows lacks, on average, where the rows are
    standardized by their own mean and covariance: their squares add up to what they add up to.
    """
    c = a - torch.eye(len(a), dtype=torch.float64)
    return (c.square().sum() + 0.5 * c.trace().square()) / (n + 1)


def _less_noise(first: Tensor, a: Tensor, both: Tensor, n: int, m: int | None) -> Tensor:
    """The variance, of first and second order, from that of the influences, whose parameters are estimated.

    That these are estimated adds ``noise`` to the first order, on average; where p is q that is all of it, and what is
    left, ``rest``, is of the second order. In few coordinates the noise is left in: where the estimate is low by chance
    the variance is too, and an interval would be too short just where it misses.
    """
    d, one, square = len(a), a.trace(), a.square().sum()
    # Rows beside d coordinates; nothing is estimated of a density.
    s, t = 1 / (n - d - 1), 1 / (m - d - 1) if m else 0.0
    wishart = square + one.square()
    spread = 0.5 * wishart * s + 0.25 * (wishart + (d + 1) * square) * t
    noise = (spread + square * s + one * t) / n + (spread + one * s + d * t) / m if m else (spread + square * s) / n
    b = 2.0 * both - torch.eye(d, dtype=torch.float64)
    of_q = ((2 * d + 4) * b.square().sum() + 2.0 * b.trace().square()) / 16 + 0.5 * d
    rest = s**2 * (0.25 * d * (d + 1) + 0.5 * square) + s * t * (0.5 * wishart + one) + t**2 * of_q
    return torch.clamp(first - max(0.0, 1.0 - 3.0 / d) * noise + rest, min=rest)


def surrogate(p: SampleMoments, generator: torch.Generator) -> Tensor:
    """Rows drawn from a Gaussian, and moved to have exactly these moments."""
    normal = torch.randn(p.n, p.d, generator=generator, dtype=torch.float64)
    return sample_moments(normal).standardized(normal) @ p.factor.mT + p.mean
