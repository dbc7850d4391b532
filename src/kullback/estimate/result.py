"""The result of every estimate: a number, how accurate it is, and how it was computed."""

from typing import Any, NamedTuple

import numpy as np

from kullback.numerics.display import table


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
    """The number of points: drawn, or the rows of all samples that were used."""
    method: str
    """The name of the method."""
    warnings: tuple[str, ...]
    """What to know before the value is used, in sentences."""

    def __float__(self) -> float:
        return float(self.value)

    def to_dict(self) -> dict[str, Any]:
        """The result as numbers, lists and strings."""
        numbers = ("value", "standard_error", "interval", "band")
        listed = {name: _plain(getattr(self, name)) for name in numbers}
        return {**listed, "n": self.n, "method": self.method, "warnings": list(self.warnings)}

    def _repr_html_(self) -> str:
        single = not np.ndim(self.value)
        rows: dict[str, object] = {"shape": tuple(np.shape(self.value))}
        if single:
            low, high = self.interval
            rows = {
                "value": f"{float(self):.6g} nats, standard error {float(self.standard_error):.2g}",
                "95 % interval": f"{float(low):.6g} to {float(high):.6g}",
            }
        rows |= {"points": f"{self.n:,}", "method": self.method}
        rows |= {f"warning {i}": text for i, text in enumerate(self.warnings, 1)}
        return table("Estimate", rows)


def _plain(x: Any) -> Any:
    return [_plain(part) for part in x] if isinstance(x, tuple) else x.tolist()
