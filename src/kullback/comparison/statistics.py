"""Statistics of one divergence over rows, and the thresholds of what is said about latent dimensions."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from kullback.comparison.divergence_summary import DivergenceSummary


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


def statistics(divergence: DivergenceSummary, rows: Tensor) -> dict[str, float]:
    """The mean over rows with its standard error, quantiles, the largest value, and the terms of the mean, in nats.

    Quantiles are those of ``rows``: the values of all rows, or of a sample of them.
    """
    values = rows.numpy()
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values, [0.05, 0.5, 0.95])
    if np.isnan(quantiles).any():
        # Linear interpolation between a finite value and infinity gives NaN.
        quantiles = np.quantile(values, [0.05, 0.5, 0.95], method="higher")
    low, median, high = quantiles.tolist()
    return {
        "mean": divergence.values.mean,
        "standard_error": divergence.values.standard_error,
        "median": median,
        "p05": low,
        "p95": high,
        "max": divergence.largest.values[0],
        "from_means": float(divergence.from_means.mean.sum()),
        "from_variances": float(divergence.from_variances.mean.sum()),
        "from_correlations": float(divergence.from_correlations.mean),
    }
