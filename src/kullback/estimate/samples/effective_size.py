r"""The effective sample size of chains, and tests whether the order of rows shows any dependence.

The effective sample size of C chains of N draws with autocorrelations :math:`\rho_t` is :math:`C N / \tau`,
:math:`\tau = 1 + 2 \sum_{t \ge 1} \rho_t`: as many independent draws give a mean of the same variance. It is that of
ArviZ for the bulk: each chain is split in two, the values are replaced by the normal scores of their ranks, and the sum
ends with Geyer's initial monotone sequence. If that ends at lag M, the relative standard error of :math:`\tau` is about
:math:`\sqrt{2 (2 M + 1) / (C N)}`.

Reference:
    A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Bürkner, Rank-normalization, folding, and localization:
    an improved R-hat for assessing convergence of MCMC, Bayesian Analysis 16, 2021. C. J. Geyer, Practical Markov chain
    Monte Carlo, Statistical Science 7, 1992. N. Madras and A. D. Sokal, The pivot algorithm: a highly efficient Monte
    Carlo method for the self-avoiding walk, Journal of Statistical Physics 50, 1988, of the standard error.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

# The probability that independent rows are taken for dependent, over all coordinates together.
SIGNIFICANCE = 1e-5

# The fewest draws of a chain in which dependence can be seen, and the largest lag as a part of them.
_FEWEST_DRAWS, _LARGEST_LAG = 20, 0.02

# How far above the autocorrelations at the lags before it that at a period is, and which part of the largest it is.
_FAR_ABOVE, _AS_LARGE = 3.0, 0.8

# An autocorrelation time is told from the others of its kind by this many standard errors.
_STANDARD_ERRORS = 2.0

# Principal coordinates whose variances are below this share of the largest one hold rounding errors.
_ROUNDING = 1e-10


def effective_size(draws: Any) -> float:
    """The effective sample size of the chains of one number, ``(C, N)``, N at least 4."""
    return _size_and_error(draws)[0]


def smallest_effective_size(chains: Any) -> float | None:
    """The smallest effective size of any coordinate; None where the order of draws shows no dependence.

    Besides the coordinates it looks at the principal ones, since two large independent terms may hide a dependent one
    that is in both; and besides the values at their distances from the median, since draws whose values are
    uncorrelated may have scales that are not. The smallest of many noisy sizes is too small: one below the lower median
    of its kind is moved towards that by as much as its error explains.

    Args:
        chains: ``(C, N, d)``.
    """
    if chains.shape[1] < _FEWEST_DRAWS:
        return None
    kinds = _kinds_of_coordinates(chains)
    n_tests = 2 * sum(map(len, kinds))
    if not any(_are_dependent(column, n_tests) for columns in kinds for column in columns):
        return None
    return min(
        _smallest(columns) for kind in kinds for columns in (kind, [np.abs(x - np.median(x)) for x in kind]) if kind
    )


def period(rows: Any) -> int | None:
    """The number of rows ``(n, d)`` after which they are like themselves, and unlike all those between; None if none.

    So are the draws of L chains of which each gives a row in turn.
    """
    from scipy.special import ndtri

    n = len(rows)
    largest = n // _FEWEST_DRAWS
    if largest < 2:
        return None
    kinds = _kinds_of_coordinates(rows[None])
    limit = -ndtri(SIGNIFICANCE / (2 * sum(map(len, kinds)) * largest)) / np.sqrt(n)
    for column in (column for columns in kinds for column in columns):
        for rho in _autocorrelations(column, largest + 1):
            lag = 2 + int((rho[2:] >= _AS_LARGE * rho[2:].max()).argmax())
            if rho[lag] > max(limit, _FAR_ABOVE * rho[1:lag].max()):
                return lag
    return None


def is_sorted(rows: Tensor) -> int | None:
    """The first coordinate in which the rows ``(n, d)`` never fall, or never rise, if they are sorted by one."""
    if len(rows) < _FEWEST_DRAWS:
        return None
    steps = rows.diff(dim=0)
    found = (((steps >= 0).all(0) | (steps <= 0).all(0)) & (steps != 0).any(0)).nonzero()
    return int(found[0]) if len(found) else None


def _size_and_error(draws: Any) -> tuple[float, float]:
    """The effective size, and its relative standard error."""
    half = draws.shape[1] // 2
    z = _normal_scores(np.concatenate([draws[:, :half], draws[:, -half:]]))
    n = z.shape[1]
    covariances = _autocovariances(z - z.mean(1, keepdims=True)).mean(0)
    within = covariances[0] * n / (n - 1)
    total = covariances[0] + z.mean(1).var(ddof=1)
    if not total > 0:
        return float(z.size), 0.0
    rho = 1 - (within - covariances) / total
    rho[0] = 1.0
    # Sums of two successive autocorrelations, up to the first that is not positive, and never increasing.
    pairs = rho[0 : n - 1 : 2] + rho[1:n:2]
    at_most = max(0, (n - 3) // 2)
    end = next((k for k in range(at_most) if pairs[k] <= 0), at_most)
    last = rho[2 * end] if rho[2 * end] > 0 or pairs[end] >= 0 else 0.0
    tau = -1 + 2 * float(np.minimum.accumulate(pairs[:end]).sum()) + float(last)
    return float(z.size / max(tau, 1 / np.log10(z.size))), float(np.sqrt(2 * (4 * end + 1) / z.size))


def _smallest(columns: list[Any]) -> float:
    """The smallest effective size of columns, those below the lower median moved towards it."""
    found = sorted(_size_and_error(column) for column in columns)
    middle = found[(len(found) - 1) // 2][0]
    smallest = middle
    for size, error in found[: (len(found) - 1) // 2]:
        distance = np.log(middle / size)
        explained = (_STANDARD_ERRORS * error) ** 2
        if distance**2 > explained:
            smallest = min(smallest, middle * float(np.exp(-(distance - explained / distance))))
    return smallest


def _kinds_of_coordinates(chains: Any) -> tuple[list[Any], list[Any]]:
    """The coordinates of ``(C, N, d)`` and, of several, the principal ones of their correlations; each ``(C, N)``."""
    given, flat = list(np.moveaxis(chains, 2, 0)), chains.reshape(-1, chains.shape[2])
    flat = flat[:, (flat != flat[0]).any(0)]
    if not 2 <= flat.shape[1] < len(flat):
        return given, []
    flat = flat / np.abs(flat).max(0)
    flat = flat - flat.mean(0)
    flat = flat / flat.std(0)
    variances, directions = np.linalg.eigh(flat.T @ flat / len(flat))
    principal = flat @ directions[:, variances > _ROUNDING * variances[-1]]
    return given, list(np.moveaxis(principal.reshape(*chains.shape[:2], -1), 2, 0))


def _are_dependent(column: Any, n_tests: int) -> bool:
    """Whether sums of the first K autocorrelations, K = 1, 2, 4, …, are larger than those of independent draws."""
    lags = 2 ** np.arange(int(np.log2(max(1, column.shape[1] * _LARGEST_LAG))) + 1)
    limits = _limits_of_sums(lags, column.size, SIGNIFICANCE / (n_tests * len(lags)))
    for rho in _autocorrelations(column, int(lags[-1]) + 1):
        if bool((np.cumsum(rho[1:])[lags - 1] * np.sqrt(column.size / lags) > limits).any()):
            return True
    return False


def _limits_of_sums(lags: Any, n: int, probability: float) -> Any:
    r"""What the sum of K autocorrelations of n independent draws, over its standard deviation, exceeds that rarely.

    The sum is a quadratic form of the skewness :math:`3 (K - 1) / \sqrt{n K}`, by the traces of the square and the cube
    of its matrix; the quantile is that of the gamma distribution of the same skewness.
    """
    from scipy.special import gammainccinv, ndtri

    limits = np.full(len(lags), -ndtri(probability))
    skewed = lags > 1
    shape = 4 * n * lags[skewed] / (9 * (lags[skewed] - 1) ** 2)
    limits[skewed] = (gammainccinv(shape, probability) - shape) / np.sqrt(shape)
    return limits


def _autocorrelations(column: Any, count: int) -> Iterator[Any]:
    """The autocorrelations at lags 0, 1, … of the normal scores of chains ``(C, N)``, and of those of their scales."""
    z = _normal_scores(column)
    for values in (z, _normal_scores(np.abs(z))):
        centred = values - values.mean()
        if centred.any():
            covariances = _autocovariances(centred, count).mean(0)
            yield covariances / covariances[0]


def _normal_scores(x: Any) -> Any:
    from scipy.special import ndtri
    from scipy.stats import rankdata

    return ndtri((rankdata(x).reshape(x.shape) - 0.375) / (x.size + 0.25))


def _autocovariances(centred: Any, count: int | None = None) -> Any:
    """The autocovariances at lags 0, 1, … of centred chains, sums of products divided by the number of draws."""
    from scipy import fft

    n = centred.shape[1]
    power = np.abs(fft.rfft(centred, fft.next_fast_len(2 * n, real=True), axis=1)) ** 2
    return fft.irfft(power, fft.next_fast_len(2 * n, real=True), axis=1)[:, : count or n] / n
