"""A test whether all marginals are normal, and monotone maps of the coordinates that make them nearly so."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# The probability that normal samples fail the test, over all samples and coordinates together.
SIGNIFICANCE = 0.001

# The fewest and the most knots of a map.
_FEWEST_KNOTS, _MOST_KNOTS = 8, 64

# The fewest rows for which the test is meant.
_FEWEST_ROWS = 20


def are_normal(samples: Sequence[Tensor]) -> bool:
    """Whether no marginal fails D'Agostino and Pearson's test of normality, by its skewness and kurtosis.

    Reference:
        R. B. D'Agostino and E. S. Pearson, Tests for departure from normality, Biometrika 60, 1973.
    """
    from scipy import stats

    tests = len(samples) * samples[0].shape[1]
    p_values = [stats.normaltest(x.numpy()).pvalue.min() for x in samples if len(x) >= _FEWEST_ROWS]
    return min(p_values, default=1.0) >= SIGNIFICANCE / tests


class MarginalGaussianizer:
    """A monotone map of each coordinate that makes its marginal, over all samples with equal weights, nearly normal.

    All samples are transformed by the same maps, so that their divergences do not change. A map is a monotone cubic
    spline through a few quantiles, continued linearly beyond them.
    """

    def __init__(self, samples: Sequence[Tensor]) -> None:
        from scipy.special import ndtri

        n_knots = int(min(max(_FEWEST_KNOTS, min(map(len, samples)) ** 0.5), _MOST_KNOTS))
        levels = (np.arange(n_knots) + 0.5) / n_knots
        weights = np.concatenate([np.full(len(x), 1.0 / (len(x) * len(samples))) for x in samples])
        self.maps = []
        for column in torch.cat(list(samples)).numpy().T:
            order = column.argsort(kind="stable")
            below = weights[order].cumsum() - 0.5 * weights[order]
            quantiles, first = np.unique(np.interp(levels, below, column[order]), return_index=True)
            scores = ndtri(levels)[first]
            if len(quantiles) < 2:
                # Nearly all values are equal, and no map makes them normal: a linear one.
                quantiles, scores = column[order][[0, -1]], np.array([-1.0, 1.0])
            self.maps.append(_MonotoneMap(quantiles, scores))

    def __call__(self, x: Tensor) -> Tensor:
        """The rows in the new coordinates."""
        return torch.from_numpy(np.stack([f.value(t) for f, t in zip(self.maps, x.numpy().T, strict=True)], 1))

    def log_slope(self, x: Tensor) -> Tensor:
        """The logarithm of the Jacobian determinant at each row."""
        slopes = [f.slope(t) for f, t in zip(self.maps, x.numpy().T, strict=True)]
        return torch.from_numpy(np.log(np.stack(slopes)).sum(0))


class _MonotoneMap:
    """A monotone cubic spline through the points ``(knots, scores)``, continued linearly beyond them."""

    def __init__(self, knots: Any, scores: Any) -> None:
        from scipy.interpolate import PchipInterpolator

        # One more knot at each end, on the line through the last two, fixes the slope there to that of this line.
        knots, scores = (np.concatenate([[2 * v[0] - v[1]], v, [2 * v[-1] - v[-2]]]) for v in (knots, scores))
        self.spline = PchipInterpolator(knots, scores)
        self.derivative = self.spline.derivative()
        self.ends = knots[[0, -1]]

    def value(self, t: Any) -> Any:
        inside = np.clip(t, *self.ends)
        return self.spline(inside) + (t - inside) * self.derivative(inside)

    def slope(self, t: Any) -> Any:
        return self.derivative(np.clip(t, *self.ends))
