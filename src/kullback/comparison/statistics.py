"""Statistics of one divergence over rows, and the thresholds of what is said about latent dimensions."""

import math
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


QUANTILES = {"p05": 0.05, "median": 0.5, "p95": 0.95}
"""The quantiles that are reported, and their ranks."""


def rank_errors(rows: int) -> dict[str, float]:
    """The standard error of the rank of each quantile, where it is that of a sample of so many rows.

    A quantile of rank q of a sample is, of all rows, one of the rank q ± √(q (1 − q) / n).
    """
    return {name: math.sqrt(q * (1.0 - q) / rows) for name, q in QUANTILES.items()}


def of_sample(rows: int) -> str:
    """What is said beside quantiles of a sample of so many rows."""
    middle, ends = (f"{100 * rank_errors(rows)[name]:.2g} %" for name in ("median", "p05"))
    return (
        f"The median and the quantiles are those of a random sample of {rows:,} inputs: the standard error of the rank "
        f"is {middle} of the median, and {ends} of the 5 % and the 95 % quantile."
    )


def statistics(divergence: DivergenceSummary, rows: Tensor) -> dict[str, float]:
    """The mean over rows with its standard error, quantiles, the largest value, and the terms of the mean, in nats.

    Quantiles are those of ``rows``: the values of all rows, or of a sample of them.
    """
    values, ranks = rows.numpy(), list(QUANTILES.values())
    with np.errstate(invalid="ignore"):
        quantiles = np.quantile(values, ranks)
    if np.isnan(quantiles).any():
        # Linear interpolation between a finite value and infinity gives NaN.
        quantiles = np.quantile(values, ranks, method="higher")
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
