"""The result of every estimate: a number, how accurate it is, and how it was computed."""

from typing import Any, NamedTuple


class Estimate(NamedTuple):
    """An estimate in nats, with its error; its numbers are tensors, or NumPy arrays, of the batch shape."""

    value: Any
    """The estimate."""
    standard_error: Any
    """The standard error of the value."""
    interval: tuple[Any, Any]
    """The ends of a 95 % confidence interval for sampling error."""
    band: tuple[Any, Any]
    """The ends of a wider interval that also allows for bias, for samples; otherwise the interval."""
    n: int
    """The number of points: drawn, or the rows of all samples."""
    method: str
    """The name of the method."""
    warnings: tuple[str, ...]
    """What to know before the value is used, in sentences."""
