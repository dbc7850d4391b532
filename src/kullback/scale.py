"""The scale of a Gaussian, kept as it was given.

A log-variance of 200 is an ordinary input, and its standard deviation is not a float32. So nothing is converted
before a formula asks for it, and formulas that know better (``relative.py``) never ask.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kullback.numerics import difference_and_factor

Parameterisation = Literal["std", "variance", "logvar"]


def _sqrt(x: float) -> float:
    return math.sqrt(x) if x >= 0 else math.nan


def _log(x: float) -> float:
    return math.log(x) if x > 0 else math.nan


def _exp(x: float) -> float:
    return math.exp(x) if x < 709.0 else math.inf


# How one number is brought from one parameterisation to another: a new parameterisation is its row and its column.
# Tensors and Python numbers take the same road, so that the standard normal is exact in any of them.
_CONVERT: dict[tuple[Parameterisation, Parameterisation], Any] = {
    ("std", "variance"): lambda x, f: x * x,
    ("std", "logvar"): lambda x, f: 2.0 * f.log(x),
    ("variance", "std"): lambda x, f: f.sqrt(x),
    ("variance", "logvar"): lambda x, f: f.log(x),
    ("logvar", "std"): lambda x, f: f.exp(0.5 * x),
    ("logvar", "variance"): lambda x, f: f.exp(x),
}


class _Numbers:
    """The functions of ``_CONVERT`` for Python numbers; bad ones give NaN, as they do in tensors."""

    sqrt = staticmethod(_sqrt)
    log = staticmethod(_log)
    exp = staticmethod(_exp)


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A diagonal scale: what was given (a number if it is one for every axis), and what that is."""

    value: Tensor | float
    given: Parameterisation

    def to(self, given: Parameterisation) -> "Diagonal":
        """The same scale in another parameterisation; itself where it already is."""
        if given == self.given:
            return self
        functions = torch if isinstance(self.value, Tensor) else _Numbers
        return Diagonal(_CONVERT[self.given, given](self.value, functions), given)

    def fits(self, dtype: torch.dtype) -> bool:
        """Can the dtype (if it is a half, float32) hold this number? What is not positive stays so, to give NaN."""
        info = torch.finfo(torch.promote_types(dtype, torch.float32))
        return self.given == "logvar" or not (0.0 <= float(self.value) < info.tiny or float(self.value) > info.max)

    def cast(self, dtype: torch.dtype, device: torch.device) -> "Diagonal":
        """The same scale as a tensor of this dtype and device; a number that does not fit as its log-variance."""
        scale = self if isinstance(self.value, Tensor) or self.fits(dtype) else self.to("logvar")
        return Diagonal(cast(scale.value, dtype, device), scale.given)

    @property
    def tensor(self) -> Tensor:
        """The value of a scale that has been cast."""
        assert isinstance(self.value, Tensor)
        return self.value

    def std(self) -> Tensor:
        """Standard deviations."""
        return self.to("std").tensor

    def log_std(self) -> Tensor:
        """Logarithms of the standard deviations: half of the log-determinant of the covariance, axis by axis."""
        return 0.5 * self.to("logvar").tensor

    def half_square_distance(self, x: Tensor, center: Tensor) -> Tensor:
        r"""Half of :math:`((x - c) / \sigma)^2` per axis: subtracted before it is scaled, and never expanded.

        The square is formed from the detached scale, and its derivatives with respect to the scale from a factor that
        is exactly 1: those of the quotient itself would leave the range of numbers long before the result does.
        """
        delta, factor = difference_and_factor(x, center)
        if self.given == "std":
            z = delta / self.tensor * factor
            return z * (0.5 * z)
        kept = self.tensor.detach()
        if self.given == "variance":
            z = delta / torch.sqrt(kept) * factor
            one = torch.exp(torch.log(kept) - torch.log(self.tensor))
        else:
            # e^(-logvar/2) leaves the range of float32 at a log-variance of -180, where delta may still bring the
            # quotient back. What exceeds the range goes into a second factor, which otherwise is exactly 1. Beyond the
            # outer clamp the quotient is 0 or infinite for every delta but 0, so it only keeps 0 from becoming NaN.
            limit = math.floor(math.log(torch.finfo(kept.dtype).max))
            inner = (-0.5 * kept).clamp(0.9 * -limit, 0.9 * limit)
            outer = (-0.5 * kept - inner).clamp(-limit, limit)
            z = delta * torch.exp(inner) * torch.exp(outer) * factor
            one = torch.exp(kept - self.tensor)
        return z * (0.5 * z) * one


def cast(x: Tensor | float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor or a number as a tensor of this dtype and device."""
    if isinstance(x, Tensor):
        return x.to(device=device, dtype=dtype)
    return torch.full((), x, dtype=dtype, device=device)


def _flatten(scale: Diagonal) -> tuple[list[Any], tuple[Any, ...]]:
    # A transform may put anything in a tensor's place, so only a Python float counts as a number.
    if isinstance(scale.value, float):
        return [], (scale.value, scale.given)
    return [scale.value], (None, scale.given)


def _unflatten(tensors: Any, context: tuple[Any, ...]) -> Diagonal:
    number, given = context
    return Diagonal(next(iter(tensors)) if number is None else number, given)


def _flatten_with_keys(scale: Diagonal) -> tuple[list[Any], tuple[Any, ...]]:
    tensors, context = _flatten(scale)
    return [(pytree.GetAttrKey("value"), x) for x in tensors], context


pytree.register_pytree_node(
    Diagonal,
    _flatten,
    _unflatten,
    serialized_type_name="kullback.Diagonal",
    flatten_with_keys_fn=_flatten_with_keys,
)
