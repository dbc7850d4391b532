"""What a method found."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Found:
    """An estimate from samples."""

    value: Tensor
    variance: Tensor
    """Of the value."""
    freedom: float
    """Degrees of freedom of the variance."""
    bias: float
    """What the band allows for beyond the interval."""
    n: int
    """Rows that were used."""
    warnings: tuple[str, ...] = ()
