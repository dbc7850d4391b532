r"""Plug-in estimates for Gaussians: unbiased estimates from sample means and covariances, with their variances.

With the unbiased covariances :math:`S_p, S_q` of n and m rows, the difference :math:`\Delta` of the means,
:math:`\nu = m - 1`, and the bias :math:`B(\nu) = \sum_{i=1}^d \psi(\tfrac{\nu - i + 1}2) + d \log \tfrac2\nu` of the
log-determinant of a Wishart matrix in d coordinates,

.. math:: \tfrac12 \Bigl\{ \tfrac{\nu - d - 1}\nu \bigl[ (1 - \tfrac1n) \operatorname{tr}(S_q^{-1} S_p)
    + \Delta^\top S_q^{-1} \Delta \bigr] - \tfrac dm - d + \log\tfrac{|S_q|}{|S_p|} - B(m - 1) + B(n - 1) \Bigr\}

is an unbiased estimate of :math:`D(p \,\|\, q)`, by :math:`\mathrm E\, S_q^{-1} = \tfrac{\nu}{\nu - d - 1}
\Sigma_q^{-1}` and :math:`\mathrm E \log |S| = \log |\Sigma| + B`.

Its variance is :math:`\tfrac1n \operatorname{Var} \phi_x + \tfrac1m \operatorname{Var} \phi_y` to first order, with
the influence functions of :func:`divergence_variance`. Two corrections are needed: the influence functions contain
estimated parameters, and where p is close to q the second order is not small beside the first. In coordinates in which
the covariance of q is the identity, let A be the covariance of p and :math:`B = A + \Delta \Delta^\top`. The sample
covariances are :math:`S_p = A^{1/2} (I + E_p) A^{1/2}` and :math:`S_q = I + E_q` with noise matrices E, and the errors
of the means are :math:`\delta_p, \delta_q`. With :math:`s \approx 1/n` and :math:`t \approx 1/m`, the moments of
Wishart matrices are

.. math:: \mathrm E\, E_p C E_p = s\, (C^\top + I \operatorname{tr} C), \qquad
    \mathrm E\, E_q C E_q = t\, (C^\top + I \operatorname{tr} C), \qquad
    \operatorname{Cov} \delta_p = s A, \qquad \operatorname{Cov} \delta_q = t I ,

from which all terms of :func:`_estimation_noise` and :func:`_second_order_variance` follow. Both use the sample moments
in the place of A, B and :math:`\Delta`.

Reference:
    A. K. Gupta and D. K. Nagar, Matrix Variate Distributions, Chapman and Hall, 2000, chapter 3.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.numerics.linear_algebra import cholesky, solve_lower, solve_lower_vector


@dataclass(frozen=True, eq=False)
class SampleMoments:
    """The mean of n rows, and the Cholesky factor of their unbiased covariance."""

    n: int
    mean: Tensor  # (d,)
    factor: Tensor  # (d, d), lower

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return len(self.mean)

    def log_det(self) -> Tensor:
        """An unbiased estimate of the log-determinant of the covariance."""
        return 2.0 * self.factor.diagonal().log().sum() - _log_det_bias(self.n - 1, self.d)

    def standardized(self, rows: Tensor) -> Tensor:
        """The rows in coordinates in which this mean is 0 and this covariance the identity."""
        return solve_lower(self.factor, (rows - self.mean).mT).mT


def sample_moments(rows: Tensor) -> SampleMoments:
    """The moments of whitened rows ``(n, d)``, for which the plain formulas do not cancel. Differentiable."""
    n, mean = len(rows), rows.mean(0)
    centred = rows - mean
    return SampleMoments(n, mean, cholesky(centred.mT @ centred / (n - 1)))


def _log_det_bias(nu: int, d: int) -> float:
    """The bias B of the log-determinant of a covariance with nu degrees of freedom."""
    i = torch.arange(1, d + 1, dtype=torch.float64)
    return float(torch.special.digamma((nu - i + 1) / 2).sum()) + d * math.log(2 / nu)


def entropy(p: SampleMoments) -> Tensor:
    """An unbiased estimate of the entropy of the Gaussian that the rows were drawn from."""
    return 0.5 * (p.d * (1 + math.log(2 * math.pi)) + p.log_det())


def divergence(p: SampleMoments, q: SampleMoments) -> Tensor:
    """An unbiased estimate of the divergence of the Gaussians that the rows were drawn from."""
    nu, d = q.n - 1, p.d
    trace = solve_lower(q.factor, p.factor).square().sum()
    square = solve_lower_vector(q.factor, p.mean - q.mean).square().sum()
    quadratic = (nu - d - 1) / nu * ((1 - 1 / p.n) * trace + square)
    return 0.5 * (quadratic - d / q.n - d + q.log_det() - p.log_det())


def log_ratio(x: Tensor, p: SampleMoments, q: SampleMoments) -> Tensor:
    """The log-ratio log p - log q at each row, for the Gaussians with these moments."""
    square_p, square_q = (moments.standardized(x).square().sum(1) for moments in (p, q))
    return 0.5 * (square_q - square_p) + (q.factor.diagonal() / p.factor.diagonal()).log().sum()


def divergence_variance(x: Tensor, y: Tensor, p: SampleMoments, q: SampleMoments) -> Tensor:
    r"""An estimate of the variance of :func:`divergence`.

    To first order it comes from the influence functions. In coordinates in which :math:`S_q` is the identity, with
    :math:`B = S_p + \Delta\Delta^\top` and rows centred at their means, these are
    :math:`\phi_x = \tfrac12 (|x|^2 - x^\top S_p^{-1} x) + x^\top \Delta` and
    :math:`\phi_y = \tfrac12 (|y|^2 - y^\top B y) - y^\top \Delta`.

    Args:
        x: the rows of p, ``(n, d)``.
        y: the rows of q, ``(m, d)``.
        p: the moments of x.
        q: the moments of y.
    """
    delta = solve_lower_vector(q.factor, p.mean - q.mean)
    whitened_x = solve_lower(q.factor, (x - p.mean).mT).mT
    phi_x = 0.5 * (whitened_x.square().sum(1) - p.standardized(x).square().sum(1)) + whitened_x @ delta
    whitened_y = q.standardized(y)
    root = solve_lower(q.factor, p.factor)
    quadratic = (whitened_y @ root).square().sum(1)
    phi_y = 0.5 * (whitened_y.square().sum(1) - quadratic - (whitened_y @ delta).square()) - whitened_y @ delta
    a = root @ root.mT
    b = a + torch.outer(delta, delta)
    first_order = (phi_x.var() + _variance_deficit(a, p.n)) / p.n + (phi_y.var() + _variance_deficit(b, q.n)) / q.n
    return _corrected_variance(first_order, a, b, p.n, q.n)


def against_density_variance(log_q: Tensor, x: Tensor, p: SampleMoments) -> Tensor:
    """An estimate of the variance of the mean of -log q minus :func:`entropy`.

    The corrections to the first order are those for a Gaussian q as seen from which :math:`S_p` is a multiple of the
    identity, by the slope of a regression of -log q on half the squared norms of the standardized rows.

    Args:
        log_q: the log-density of q at the rows, ``(n,)``.
        x: the rows of p, ``(n, d)``.
        p: their moments.
    """
    half_squares = 0.5 * p.standardized(x).square().sum(1)
    slope = torch.stack([-log_q, half_squares]).cov()[0, 1] / half_squares.var()
    a = slope * torch.eye(p.d, dtype=torch.float64)
    first_order = ((-log_q - half_squares).var() + _variance_deficit(a, p.n)) / p.n
    return _corrected_variance(first_order, a, a, p.n, None)


def _variance_deficit(a: Tensor, n: int) -> Tensor:
    r"""The expected deficit of the variance of :math:`\tfrac12 z^\top C z`, :math:`C = A - I`, over standardized rows.

    Rows that are standardized by their own mean and covariance are :math:`\sqrt{n - 1}` times projections of uniformly
    distributed unit vectors in n - 1 dimensions. Their fourth moments are those of a normal distribution times
    :math:`\tfrac{n - 1}{n + 1}`, so that the variance is :math:`\tfrac12 |C|^2 - \tfrac1{n + 1} (|C|^2 + \tfrac12
    (\operatorname{tr} C)^2)` instead of :math:`\tfrac12 |C|^2`.
    """
    c = a - torch.eye(len(a), dtype=torch.float64)
    return (c.square().sum() + 0.5 * c.trace().square()) / (n + 1)


def _corrected_variance(first_order: Tensor, a: Tensor, b: Tensor, n: int, m: int | None) -> Tensor:
    """The variance to second order, from the first order with estimated parameters.

    Estimation noise in the parameters increases the first order on average, and is subtracted; where p is q it is all
    of the first order, and the second order alone is left. In few coordinates less of it is subtracted, and none in up
    to three: an estimate that is low by chance has a low first order, too, and its interval would be too short exactly
    where it misses.

    Args:
        first_order: the variance of the influence functions over the samples, divided by the numbers of rows.
        a: the covariance of p where that of q is the identity.
        b: the same plus the square of the difference of the means.
        n: the number of rows of p.
        m: the number of rows of q; None for a density, whose parameters are known.
    """
    d = len(a)
    # Inverse numbers of rows, less the coordinates that are estimated from them.
    s, t = 1 / (n - d - 1), 1 / (m - d - 1) if m else 0.0
    noise = _estimation_noise(a, n, m, s, t)
    second_order = _second_order_variance(a, b, s, t)
    return torch.clamp(first_order - max(0.0, 1.0 - 3.0 / d) * noise + second_order, min=second_order)


def _estimation_noise(a: Tensor, n: int, m: int | None, s: float, t: float) -> Tensor:
    r"""The expected increase of the first-order variance by estimation noise in its parameters.

    The first order is :math:`\tfrac1n (\tfrac12 |A - I|^2 + \Delta^\top A \Delta) + \tfrac1m (\tfrac12 |B - I|^2 +
    |\Delta|^2)`. The noise of A is :math:`A^{1/2} E_p A^{1/2} - \tfrac12 (E_q A + A E_q)`, that of :math:`\Delta` is
    :math:`\delta_p - \delta_q`. Kept are the expectations of the squares of the noise, with A in the place of B, which
    are all of the increase where p is q:

    * :math:`\tfrac12 \mathrm E |A^{1/2} E_p A^{1/2}|^2 = \tfrac s2 [\operatorname{tr} A^2 + (\operatorname{tr} A)^2]`,
    * :math:`\tfrac18 \mathrm E |E_q A + A E_q|^2 = \tfrac t4 [\operatorname{tr} A^2 + (\operatorname{tr} A)^2 +
      (d + 1) \operatorname{tr} A^2]`,
    * :math:`\mathrm E\, \delta^\top A \delta = s \operatorname{tr} A^2 + t \operatorname{tr} A` for x, and
      :math:`\mathrm E |\delta|^2 = s \operatorname{tr} A + t\, d` for y.
    """
    d, trace, trace_of_square = len(a), a.trace(), a.square().sum()
    wishart = trace_of_square + trace.square()
    covariance_noise = 0.5 * wishart * s + 0.25 * (wishart + (d + 1) * trace_of_square) * t
    if not m:
        return (covariance_noise + trace_of_square * s) / n
    noise_x = covariance_noise + trace_of_square * s + trace * t
    noise_y = covariance_noise + trace * s + d * t
    return noise_x / n + noise_y / m


def _second_order_variance(a: Tensor, b: Tensor, s: float, t: float) -> Tensor:
    r"""The variance of the second-order terms of the expansion of the estimate.

    These are, with their variances, where :math:`C = 2 B - I`:

    * :math:`\tfrac14 \operatorname{tr} E_p^2`: :math:`\tfrac{s^2}4 d (d + 1)`, and :math:`\tfrac12 |\delta_p|^2`:
      :math:`\tfrac{s^2}2 \operatorname{tr} A^2`;
    * :math:`-\tfrac12 \operatorname{tr}(E_q A^{1/2} E_p A^{1/2})`: :math:`\tfrac{s t}2 [\operatorname{tr} A^2 +
      (\operatorname{tr} A)^2]`, and :math:`-\delta_p^\top \delta_q`: :math:`s t \operatorname{tr} A`;
    * :math:`\tfrac14 \operatorname{tr}(E_q^2 C)`:
      :math:`\tfrac{t^2}{16} [(2 d + 4) |C|^2 + 2 (\operatorname{tr} C)^2]`, and :math:`\tfrac12 |\delta_q|^2`:
      :math:`\tfrac{t^2}2 d`.

    Left out is :math:`-\Delta^\top E_q (\delta_p - \delta_q)`, which is 0 where the means agree.
    """
    d, trace, trace_of_square = len(a), a.trace(), a.square().sum()
    wishart = trace_of_square + trace.square()
    c = 2.0 * b - torch.eye(d, dtype=torch.float64)
    of_p = 0.25 * d * (d + 1) + 0.5 * trace_of_square
    of_both = 0.5 * wishart + trace
    of_q = ((2 * d + 4) * c.square().sum() + 2.0 * c.trace().square()) / 16 + 0.5 * d
    return s**2 * of_p + s * t * of_both + t**2 * of_q


def surrogate(p: SampleMoments, generator: torch.Generator) -> Tensor:
    """Rows drawn from a Gaussian and transformed linearly, so that they have exactly these moments."""
    normal = torch.randn(p.n, p.d, generator=generator, dtype=torch.float64)
    return sample_moments(normal).standardized(normal) @ p.factor.mT + p.mean
