r"""The effective sample size of chains, and a test whether the order of rows shows any dependence.

The effective sample size of C chains of N draws with autocorrelations :math:`\rho_t` is :math:`C N / \tau`,
:math:`\tau = 1 + 2 \sum_{t \ge 1} \rho_t`: as many independent draws give a mean of the same variance. It is that of
ArviZ for the bulk: each chain is split in two, the values are replaced by the normal scores of their ranks, and the sum
ends with Geyer's initial monotone sequence.

Reference:
    A. Vehtari, A. Gelman, D. Simpson, B. Carpenter and P.-C. Bürkner, Rank-normalization, folding, and localization:
    an improved R-hat for assessing convergence of MCMC, Bayesian Analysis 16, 2021. C. J. Geyer, Practical Markov chain
    Monte Carlo, Statistical Science 7, 1992.
"""

from typing import Any

import numpy as np
from torch import Tensor

# The probability that independent rows are taken for dependent, over all coordinates together.
SIGNIFICANCE = 1e-5

# The fewest draws of a chain in which dependence can be seen, and the largest lag as a part of them.
_FEWEST_DRAWS, _LARGEST_LAG = 20, 0.02


def effective_size(draws: Any) -> float:
    """The effective sample size of the chains of one number, ``(C, N)``, N at least 4."""
    half = draws.shape[1] // 2
    z = _normal_scores(np.concatenate([draws[:, :half], draws[:, -half:]]))
    n = z.shape[1]
    covariances = _autocovariances(z - z.mean(1, keepdims=True)).mean(0)
    within = covariances[0] * n / (n - 1)
    total = covariances[0] + z.mean(1).var(ddof=1)
    if not total > 0:
        return float(z.size)
    rho = 1 - (within - covariances) / total
    rho[0] = 1.0
    # Sums of two successive autocorrelations, up to the first that is not positive, and never increasing.
    pairs = rho[0 : n - 1 : 2] + rho[1:n:2]
    at_most = max(0, (n - 3) // 2)
    end = next((k for k in range(at_most) if pairs[k] <= 0), at_most)
    last = rho[2 * end] if rho[2 * end] > 0 or pairs[end] >= 0 else 0.0
    tau = -1 + 2 * float(np.minimum.accumulate(pairs[:end]).sum()) + float(last)
    return float(z.size / max(tau, 1 / np.log10(z.size)))


def smallest_effective_size(chains: Any) -> float | None:
    """The smallest effective size of any coordinate; None where the order of draws shows no dependence.

    Besides the values it looks at their distances from the median, since draws whose values are uncorrelated may have
    scales that are not.

    Args:
        chains: ``(C, N, d)``.
    """
    n, d = chains.shape[1:]
    if n < _FEWEST_DRAWS:
        return None
    columns = [chains[:, :, i] for i in range(d)]
    if not any(_are_dependent(column, 2 * d) for column in columns):
        return None
    return min(effective_size(x) for column in columns for x in (column, np.abs(column - np.median(column))))


def is_sorted(rows: Tensor) -> int | None:
    """The first coordinate in which the rows ``(n, d)`` never fall, or never rise, if they are sorted by one."""
    if len(rows) < _FEWEST_DRAWS:
        return None
    steps = rows.diff(dim=0)
    found = (((steps >= 0).all(0) | (steps <= 0).all(0)) & (steps != 0).any(0)).nonzero()
    return int(found[0]) if len(found) else None


def _are_dependent(column: Any, n_tests: int) -> bool:
    """Whether sums of the first K autocorrelations, K = 1, 2, 4, …, are larger than those of independent draws."""
    from scipy.special import ndtri

    n = column.shape[1]
    lags = 2 ** np.arange(int(np.log2(max(1, n * _LARGEST_LAG))) + 1)
    limit = -ndtri(SIGNIFICANCE / (n_tests * len(lags)))
    z = _normal_scores(column)
    for values in (z, _normal_scores(np.abs(z))):
        centred = values - values.mean()
        if not centred.any():
            continue
        covariances = _autocovariances(centred, int(lags[-1]) + 1).mean(0)
        sums = np.cumsum(covariances[1:])[lags - 1] / covariances[0]
        if bool((sums * np.sqrt(column.size / lags) > limit).any()):
            return True
    return False


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
