"""Statistics of one divergence over rows, and the thresholds of what is said about latent dimensions."""

import math
from dataclasses import dataclass

import numpy as np

from kullback.comparison.summary import DivergenceSummary


@dataclass(frozen=True)
class Thresholds:
    """By what a comparison calls latent dimensions active, collapsed, and partners."""

    active_variance: float = 0.01
    """A dimension is active if the variance over inputs of its posterior mean exceeds this (Burda, Grosse and
    Salakhutdinov, Importance weighted autoencoders, ICLR 2016)."""
    collapsed_nats: float = 0.01
    """A dimension is collapsed if its mean KL divergence from the prior is below this."""
    partner_share: float = 0.5
    """A dimension of one model is the partner of one of the other if matching them leaves less than this share of the
    divergence that inputs paired at random leave."""


def statistics(divergence: DivergenceSummary) -> dict[str, float]:
    """The mean over rows with its standard error, quantiles, the largest value, and the terms of the mean, in nats."""
    values = divergence.rows.numpy()
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values, [0.05, 0.5, 0.95])
    if np.isnan(quantiles).any():
        # Linear interpolation between a finite value and infinity gives NaN.
        quantiles = np.quantile(values, [0.05, 0.5, 0.95], method="higher")
    low, median, high = quantiles.tolist()
    # Dividing by the largest value keeps squared deviations from overflowing where the standard deviation does not.
    unit = values.max() if 0 < values.max() < math.inf else 1.0
    is_finite = np.isfinite(values).all()
    with np.errstate(over="ignore"):
        mean = values.mean()
    if is_finite and mean == math.inf:  # The sum alone overflowed.
        mean = unit * (values / unit).mean()
    error = math.nan
    if len(values) > 1 and is_finite:
        error = unit * (values / unit).std(ddof=1) / math.sqrt(len(values))
    return {
        "mean": float(mean),
        "standard_error": float(error),
        "median": median,
        "p05": low,
        "p95": high,
        "max": float(values.max()),
        "from_means": float(divergence.from_means.mean.sum()),
        "from_variances": float(divergence.from_variances.mean.sum()),
        "from_correlations": float(divergence.from_correlations.mean),
    }
