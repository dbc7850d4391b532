"""The result of a method that estimates from samples, and the callback by which it reports progress."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# Called after each search for neighbours.
Step = Callable[[], None]


@dataclass(frozen=True)
class SampleEstimate:
    """An estimate from samples."""

    value: Tensor
    """The estimate, in nats."""
    variance: Tensor
    """The variance of the estimate."""
    degrees_of_freedom: float
    """Of the t distribution that the interval is taken from; infinite for a normal distribution."""
    bias_allowance: float
    """By how much the band extends beyond the interval on each side."""
    warnings: tuple[str, ...] = ()
    """What to know before the estimate is used, in sentences."""
