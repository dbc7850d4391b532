"""What is known of a number that has no closed form: that it lies between two others."""

from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """A proved lower and upper bound, tensors of the shape of the batch (or arrays)."""

    lower: Any
    upper: Any
