"""One scale for each coordinate, as standard deviations, variances or log-variances.

A log-variance of 200 is an ordinary input, and its standard deviation is not a float32. So nothing is converted
before a formula asks for it, and formulas that know better (``relative.py``) never ask.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kullback.common import broadcast_shapes, sum_event
from kullback.numerics import difference_and_factor
from kullback.scale.base import Scale, cast

if TYPE_CHECKING:
    from kullback.gaussian import Gaussian

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
class Diagonal(Scale):
    """A diagonal scale: what was given (a number if it is one for every axis), and what that is."""

    value: Tensor | float
    parameterisation: Parameterisation

    @property
    def given(self) -> Parameterisation:
        """What the value is."""
        return self.parameterisation

    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The value, unless it is a number."""
        return [(self.value, event_dims)] if isinstance(self.value, Tensor) else []

    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> "Diagonal":
        """The same scale, its tensor replaced; a number stays."""
        return Diagonal(function(self.value, event_dims), self.given) if isinstance(self.value, Tensor) else self

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
        """The same scale as a tensor of this dtype and device; a number that does not fit as its log-variance. What is
        not positive becomes NaN: squared, it would pass for a scale.
        """
        scale = self if isinstance(self.value, Tensor) or self.fits(dtype) else self.to("logvar")
        value = cast(scale.value, dtype, device)
        return Diagonal(value if scale.given == "logvar" else torch.where(value > 0, value, torch.nan), scale.given)

    @property
    def tensor(self) -> Tensor:
        """The value of a scale that has been cast."""
        assert isinstance(self.value, Tensor)
        return self.value

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""
        return sum_event(self._expanded(self.log_std(), event), len(event))

    def half_square(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""
        return sum_event(self._expanded(self.half_square_distance(x, center), event), len(event))

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""
        return self.std() * torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)

    def stds(self, event: torch.Size) -> Tensor:
        """The standard deviations themselves."""
        return self._expanded(self.std(), event)

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """The standard deviations themselves."""
        return self.stds(event)

    def to_torch(self, location: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """As ``Independent(Normal(mean, std), event_dims)``, or ``Normal`` for none."""
        normal = torch.distributions.Normal(location, self.std().broadcast_to(location.shape))
        return torch.distributions.Independent(normal, event_dims) if event_dims else normal

    @staticmethod
    def _expanded(x: Tensor, event: torch.Size) -> Tensor:
        # A number is the scale of every coordinate.
        return (
            x
            if x.ndim >= len(event) and x.shape[x.ndim - len(event) :] == event
            else x.broadcast_to(broadcast_shapes(x.shape, event))
        )

    def std(self) -> Tensor:
        """Standard deviations."""
        return self.to("std").tensor

    def over_root(self, x: Tensor) -> Tensor:
        """``x`` divided by the square roots of the standard deviations."""
        if self.given == "std":
            return x / self.tensor.sqrt()
        return x / self.tensor.sqrt().sqrt() if self.given == "variance" else x * torch.exp(-0.25 * self.tensor)

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


# What two scales are compared in, in order: the first one that either of them was given in, if they differ.
_COMMON: tuple[Parameterisation, ...] = ("logvar", "std")


def common_parameterisation(*scales: Diagonal) -> Parameterisation:
    """The parameterisation in which scales are compared.

    A Python number is converted exactly enough to take the others', as long as their dtype can hold it there; arrays
    given differently meet in log-variance if one is that, else in standard deviation.
    """
    arrays = [scale for scale in scales if isinstance(scale.value, Tensor)]
    numbers = [scale for scale in scales if not isinstance(scale.value, Tensor)]
    given = {scale.given for scale in arrays or numbers}
    common = given.pop() if len(given) == 1 else next(g for g in _COMMON if g in given)
    dtype = arrays[0].tensor.dtype if arrays else torch.get_default_dtype()
    return common if all(number.to(common).fits(dtype) for number in numbers) else "logvar"


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


def rows(g: "Gaussian", *given: Parameterisation) -> tuple[Tensor, ...]:
    """The mean, and the scale in each parameterisation, of a batch of diagonals that has been cast: ``(*batch, d)``."""
    assert isinstance(g.scale, Diagonal)
    full, flat = g.batch_shape + g.event_shape, (*g.batch_shape, g.event_size)
    return tuple(x.expand(full).reshape(flat) for x in (g.mean, *(g.scale.to(kind).tensor for kind in given)))
