"""Is each coordinate normal? And if not, coordinates in which it nearly is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

# How rarely samples that are normal are taken for samples that are not.
SIGNIFICANCE = 0.001

# Knots of a map.
_FEWEST, _MOST = 8, 64


def are_normal(samples: Sequence[Tensor]) -> bool:
    """Does no coordinate's skewness and kurtosis speak against it (D'Agostino and Pearson's test)?"""
    from scipy import stats

    tests = len(samples) * samples[0].shape[1]
    # The test is meant for 20 rows and more.
    p_values = [stats.normaltest(x.numpy()).pvalue.min() for x in samples if len(x) >= 20]
    return min(p_values, default=1.0) >= SIGNIFICANCE / tests


class MarginalGaussianizer:
    """Monotone maps, one for each coordinate, that take the equally weighted samples together to a normal.

    The same for all samples, so that divergences are what they were. Through a few quantiles by monotone cubics, and
    straight beyond them.
    """

    def __init__(self, samples: Sequence[Tensor]) -> None:
        from scipy.special import ndtri

        knots = int(min(max(_FEWEST, min(map(len, samples)) ** 0.5), _MOST))
        levels = (np.arange(knots) + 0.5) / knots
        weights = np.concatenate([np.full(len(x), 1.0 / (len(x) * len(samples))) for x in samples])
        self.maps = []
        for column in torch.cat(list(samples)).numpy().T:
            order = column.argsort(kind="stable")
            below = weights[order].cumsum() - 0.5 * weights[order]
            places, first = np.unique(np.interp(levels, below, column[order]), return_index=True)
            scores = ndtri(levels)[first]
            if len(places) < 2:
                # Nearly all of it is one number: no map could make it normal.
                places, scores = column[order][[0, -1]], np.array([-1.0, 1.0])
            self.maps.append(_Map(places, scores))

    def __call__(self, x: Tensor) -> Tensor:
        """Rows in the new coordinates."""
        return torch.from_numpy(np.stack([f.value(t) for f, t in zip(self.maps, x.numpy().T, strict=True)], 1))

    def log_slope(self, x: Tensor) -> Tensor:
        """The logarithm of the determinant of the derivative at each row."""
        slopes = [f.slope(t) for f, t in zip(self.maps, x.numpy().T, strict=True)]
        return torch.from_numpy(np.log(np.stack(slopes)).sum(0))


class _Map:
    """A monotone cubic through points, straight beyond them."""

    def __init__(self, places: Any, scores: Any) -> None:
        from scipy.interpolate import PchipInterpolator

        # One more point on the line through the first two, and through the last two: there the cubic has their slope.
        places, scores = (np.concatenate([[2 * v[0] - v[1]], v, [2 * v[-1] - v[-2]]]) for v in (places, scores))
        self.cubic = PchipInterpolator(places, scores)
        self.derivative = self.cubic.derivative()
        self.ends = places[[0, -1]]

    def value(self, t: Any) -> Any:
        inside = np.clip(t, *self.ends)
        return self.cubic(inside) + (t - inside) * self.derivative(inside)

    def slope(self, t: Any) -> Any:
        return self.derivative(np.clip(t, *self.ends))
