"""Means and variances over rows that are accumulated in parts."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Where a value is beyond the first, all are divided by the second, so that squares stay within the range of float64.
_LARGE, _UNIT = 2.0**400, 2.0**600


@dataclass(frozen=True, eq=False)
class RunningMean:
    """The mean over rows, elementwise."""

    count: int
    mean: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "RunningMean":
        """The mean over the first dimension of a tensor."""
        return cls(len(rows), rows.mean(0))

    def merge(self, other: "RunningMean") -> "RunningMean":
        """The mean over the rows of both."""
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        # A weighted mean keeps an infinite mean infinite; mean + step * weight would turn it into NaN.
        return RunningMean(count, self.mean * (self.count / count) + other.mean * (other.count / count))


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """The mean over rows and the sum of squared deviations from it, elementwise (Chan, Golub and LeVeque 1979)."""

    count: int | Tensor
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "RunningMoments":
        """The moments over the first dimension of a tensor."""
        mean = rows.mean(0)
        return cls(len(rows), mean, (rows - mean).square().sum(0))

    def merge(self, other: "RunningMoments") -> "RunningMoments":
        """The moments over the rows of both, of which each has one at least."""
        count = self.count + other.count
        # A weighted mean keeps an infinite mean infinite; mean + step * weight would turn it into NaN.
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        step = other.mean - self.mean
        return RunningMoments(
            count, mean, self.squares + other.squares + step.square() * (self.count * other.count / count)
        )

    @property
    def variance(self) -> Tensor:
        """The unbiased variance over rows; NaN for a single row."""
        return self.squares / (self.count - 1) if self.count > 1 else torch.full_like(self.squares, torch.nan)


@dataclass(frozen=True, eq=False)
class ValueMoments:
    """The moments of one number for each row, which may be as large as a float64 can be."""

    scaled: RunningMoments
    """Of the values divided by ``unit``."""
    unit: float

    @classmethod
    def of(cls, values: Tensor) -> "ValueMoments":
        """The moments of the values of some rows."""
        finite = values[values.isfinite()]
        unit = _UNIT if len(finite) and float(finite.abs().max()) > _LARGE else 1.0
        if not len(values):
            return cls(RunningMoments(0, values.new_zeros(()), values.new_zeros(())), unit)
        return cls(RunningMoments.of(values / unit if unit != 1.0 else values), unit)

    def merge(self, other: "ValueMoments") -> "ValueMoments":
        """The moments of the values of both."""
        if not self.count or not other.count:
            return self if self.count else other
        unit = max(self.unit, other.unit)
        return ValueMoments(self._in(unit).merge(other._in(unit)), unit)

    def _in(self, unit: float) -> RunningMoments:
        if unit == self.unit:
            return self.scaled
        share = self.unit / unit
        return RunningMoments(self.scaled.count, self.scaled.mean * share, self.scaled.squares * share * share)

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(self.scaled.count)

    @property
    def mean(self) -> float:
        """The mean of the values; NaN of none."""
        return self.unit * float(self.scaled.mean) if self.count else math.nan

    @property
    def standard_error(self) -> float:
        """The standard error of the mean; NaN of fewer than two rows, or if a value is not finite."""
        return self.unit * math.sqrt(float(self.scaled.variance) / self.count) if self.count > 1 else math.nan
