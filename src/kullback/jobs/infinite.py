"""How many of the values that were computed are infinite, which is said at the end."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Infinite:
    """The infinite ones of many values: the divergence is infinite, or it exceeds what the precision holds."""

    count: int = 0
    precision: str = ""
    """The type of the values."""

    @classmethod
    def of(cls, values: "np.ndarray[Any, Any]") -> "Infinite":
        """Those of an array."""
        return cls(int(np.isinf(values).sum()), values.dtype.name)

    def merge(self, other: "Infinite") -> "Infinite":
        """Those of both."""
        return Infinite(self.count + other.count, self.precision or other.precision)

    def __str__(self) -> str:
        found = f"{self.count:,} {'value is' if self.count == 1 else 'values are'} infinite"
        if self.precision == "float64":
            return found
        largest = np.finfo(self.precision).max
        return f"{found} in {self.precision}, which ends at {largest:.2g}; of inputs in float64 they may be finite"
