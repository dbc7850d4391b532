"""What a method is given to count its steps with, and what it found."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# Called whenever a search of neighbours is done.
Step = Callable[[], None]


@dataclass(frozen=True)
class SampleEstimate:
    """An estimate from samples."""

    value: Tensor
    variance: Tensor
    """Of the value."""
    freedom: float
    """Degrees of freedom of the variance."""
    bias: float
    """What the band allows for beyond the interval."""
    warnings: tuple[str, ...] = ()
