"""What an estimate is: a number, how far off it may be, and how it was made."""

from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """An estimate in nats; numbers are tensors of the shape of the batch (or arrays)."""

    value: Any
    """The estimate."""
    standard_error: Any
    """Its standard error."""
    interval: tuple[Any, Any]
    """An interval that holds the truth 95 times in 100."""
    band: tuple[Any, Any]
    """A wider one that allows for bias, for samples; the interval where there is none."""
    n: int
    """How many points were used: drawn, or rows of all samples."""
    method: str
    """How it was made."""
    warnings: tuple[str, ...]
    """What to know before it is used, in sentences."""
