"""One scale for each coordinate, as standard deviations, variances or the logarithms of either.

A log-variance of 200 is an ordinary input, and its standard deviation is not a float32. So nothing is converted before
a formula asks for it, and formulas that know better (``pairs/diagonal.py``) never ask.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.elementary import difference_and_factor
from kullback.numerics.immutable import register_pytree
from kullback.numerics.linear_algebra import lower_factor
from kullback.numerics.tensors import expand_event, sum_event

Parameterization = Literal["std", "variance", "logvar", "log_std"]

# Parameterizations whose values are positive; the others are any finite numbers.
POSITIVE: tuple[Parameterization, ...] = ("std", "variance")

# How a scale is converted from one parameterization to another: a new parameterization is its row and its column.
# ``f`` is torch or ``_PythonMath``: tensors and Python numbers are converted alike, so that the standard normal is
# exact in any.
_CONVERT: dict[tuple[Parameterization, Parameterization], Any] = {
    ("std", "variance"): lambda x, f: x * x,
    ("std", "logvar"): lambda x, f: 2.0 * f.log(x),
    ("variance", "std"): lambda x, f: f.sqrt(x),
    ("variance", "logvar"): lambda x, f: f.log(x),
    ("logvar", "std"): lambda x, f: f.exp(0.5 * x),
    ("logvar", "variance"): lambda x, f: f.exp(x),
    ("std", "log_std"): lambda x, f: f.log(x),
    ("variance", "log_std"): lambda x, f: 0.5 * f.log(x),
    ("logvar", "log_std"): lambda x, f: 0.5 * x,
    ("log_std", "std"): lambda x, f: f.exp(x),
    ("log_std", "variance"): lambda x, f: f.exp(2.0 * x),
    ("log_std", "logvar"): lambda x, f: 2.0 * x,
}

# What is compared as another parameterization, because doubling rounds nothing.
COMPARED_AS: dict[Parameterization, Parameterization] = {"log_std": "logvar"}

# What two scales that were given differently are compared in: the first of these that either was given in.
_COMMON: tuple[Parameterization, ...] = ("logvar", "std")


@dataclass(frozen=True, eq=False)
class Diagonal(Scale):
    """A diagonal scale: what was given, and what that is. A value without dimensions is that of every coordinate."""

    value: Tensor
    parameterization: Parameterization

    is_diagonal = True

    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The value."""
        return [(self.value, event_dims)]

    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> "Diagonal":
        """The same scale, its tensor replaced."""
        return Diagonal(function(self.value, event_dims), self.parameterization)

    def to(self, parameterization: Parameterization) -> "Diagonal":
        """The same scale in another parameterization; itself where it already is."""
        if parameterization == self.parameterization:
            return self
        return Diagonal(_CONVERT[self.parameterization, parameterization](self.value, torch), parameterization)

    def cast(self, dtype: torch.dtype, device: torch.device) -> "Diagonal":
        """The same scale in this dtype, on this device. What is not positive becomes NaN: squared, it would pass for a
        scale.
        """
        value = self.value.to(device=device, dtype=dtype)
        if self.parameterization in POSITIVE:
            value = torch.where(value > 0, value, torch.nan)
        return Diagonal(value, self.parameterization)

    def factor_matrix(self, event: torch.Size) -> Tensor:
        """The standard deviations on the diagonal."""
        return _flat(self.stds(event), event).diag_embed()

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""
        return sum_event(expand_event(0.5 * self.to("logvar").value, event), len(event))

    def half_mahalanobis(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""
        return sum_event(expand_event(self.half_mahalanobis_terms(x, center), event), len(event))

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""
        return self.to("std").value * torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)

    def stds(self, event: torch.Size) -> Tensor:
        """The standard deviations themselves."""
        return expand_event(self.to("std").value, event)

    def variances(self, event: torch.Size) -> Tensor:
        """The variances themselves."""
        return expand_event(self.to("variance").value, event)

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """The standard deviations themselves."""
        return self.stds(event)

    def covariance_matrix(self, event: torch.Size) -> Tensor:
        """The variances on the diagonal."""
        return _flat(self.variances(event), event).diag_embed()

    def precision_matrix(self, event: torch.Size) -> Tensor:
        """The inverses of the variances on the diagonal."""
        if self.parameterization not in POSITIVE:
            return _flat(expand_event(torch.exp(-self.to("logvar").value), event), event).diag_embed()
        return _flat(1.0 / self.variances(event), event).diag_embed()

    def marginal(self, index: list[int]) -> "Diagonal":
        """Some of the scales; one for all coordinates stays what it is."""
        return self.map(lambda x, _: x[..., torch.tensor(index, device=x.device)] if x.ndim else x)

    def affine(self, matrix: Tensor) -> Tril:
        """The factor of A diag(σ²) Aᵀ."""
        return Tril(lower_factor((matrix * expand_event(self.to("std").value, matrix.shape[-1:]).unsqueeze(-2)).mT))

    def to_torch(self, mean: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """As ``Independent(Normal(mean, std), event_dims)``, or ``Normal`` for none."""
        normal = torch.distributions.Normal(mean, self.to("std").value.broadcast_to(mean.shape))
        return torch.distributions.Independent(normal, event_dims) if event_dims else normal

    def over_root(self, x: Tensor) -> Tensor:
        """``x`` divided by the square roots of the standard deviations."""
        if self.parameterization == "std":
            return x / self.value.sqrt()
        if self.parameterization == "variance":
            return x / self.value.sqrt().sqrt()
        return x * torch.exp(-0.25 * self.to("logvar").value)

    def half_mahalanobis_terms(self, x: Tensor, center: Tensor) -> Tensor:
        r"""Half of :math:`((x - c) / \sigma)^2` for each coordinate: subtracted before it is scaled, never expanded.

        The square is formed from the detached scale, and its derivatives with respect to the scale from a factor that
        is exactly 1: those of the quotient itself would leave the range of numbers long before the result does.
        """
        delta, factor = difference_and_factor(x, center)
        if self.parameterization == "std":
            z = delta / self.value * factor
            return z * (0.5 * z)
        if self.parameterization == "variance":
            kept = self.value.detach()
            z = delta / torch.sqrt(kept) * factor
            one = torch.exp(torch.log(kept) - torch.log(self.value))
        else:
            logvar = self.to("logvar").value
            kept = logvar.detach()
            # e^(-logvar/2) leaves the range of float32 at a log-variance of -180, where delta may still bring the
            # quotient back. What exceeds the range goes into a second factor, which otherwise is exactly 1. Beyond the
            # outer clamp the quotient is 0 or infinite for every delta but 0, so it only keeps 0 from becoming NaN.
            limit = math.floor(math.log(torch.finfo(kept.dtype).max))
            inner = (-0.5 * kept).clamp(0.9 * -limit, 0.9 * limit)
            outer = (-0.5 * kept - inner).clamp(-limit, limit)
            z = delta * torch.exp(inner) * torch.exp(outer) * factor
            one = torch.exp(kept - logvar)
        return z * (0.5 * z) * one


class Isotropic(Diagonal):
    """The scale of every coordinate as one Python number, which takes the dtype and the device of what it meets.

    As a tensor it has torch's default dtype; ``cast`` rounds the exact number to another.
    """

    number: float

    def __init__(self, number: float, parameterization: Parameterization) -> None:
        object.__setattr__(self, "number", number)
        object.__setattr__(self, "parameterization", parameterization)

    @property
    def value(self) -> Tensor:
        """The number as a tensor without dimensions."""
        return torch.tensor(self.number)

    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """No tensors."""
        return []

    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> "Isotropic":
        """Itself."""
        return self

    def to(self, parameterization: Parameterization) -> "Isotropic":
        """The same scale in another parameterization."""
        if parameterization == self.parameterization:
            return self
        return Isotropic(_CONVERT[self.parameterization, parameterization](self.number, _PythonMath), parameterization)

    def fits(self, dtype: torch.dtype) -> bool:
        """Can the dtype (if it is a half, float32) hold this number? What is not positive stays so, to give NaN."""
        info = torch.finfo(torch.promote_types(dtype, torch.float32))
        return self.parameterization not in POSITIVE or not (0.0 <= self.number < info.tiny or self.number > info.max)

    def cast(self, dtype: torch.dtype, device: torch.device) -> Diagonal:
        """As a tensor of this dtype and device; as its log-variance where the dtype cannot hold it."""
        scale = self if self.fits(dtype) else self.to("logvar")
        value = torch.full((), scale.number, dtype=dtype, device=device)
        return Diagonal(value, scale.parameterization).cast(dtype, device)


class _PythonMath:
    """The functions of ``_CONVERT`` for Python numbers; outside their domain they give NaN, as they do of tensors."""

    @staticmethod
    def sqrt(x: float) -> float:
        return math.sqrt(x) if x >= 0 else math.nan

    @staticmethod
    def log(x: float) -> float:
        return math.log(x) if x > 0 else math.nan

    @staticmethod
    def exp(x: float) -> float:
        return math.exp(x) if x < 709.0 else math.inf


def _flat(x: Tensor, event: torch.Size) -> Tensor:
    return x.reshape(*x.shape[: x.ndim - len(event)], event.numel())


def common_parameterization(*scales: Diagonal) -> Parameterization:
    """The parameterization in which scales are compared.

    A Python number is converted exactly enough to take the others', as long as their dtype can hold it there; arrays
    given differently meet in log-variance if one is a logarithm, else in standard deviation.
    """
    numbers = [scale for scale in scales if isinstance(scale, Isotropic)]
    arrays = [scale for scale in scales if not isinstance(scale, Isotropic)]
    kinds = {COMPARED_AS.get(scale.parameterization, scale.parameterization) for scale in arrays or numbers}
    common = kinds.pop() if len(kinds) == 1 else next(kind for kind in _COMMON if kind in kinds)
    if not numbers:
        return common
    dtype = arrays[0].value.dtype if arrays else torch.get_default_dtype()
    return common if all(number.to(common).fits(dtype) for number in numbers) else "logvar"


register_pytree(
    Diagonal,
    lambda scale: {"value": scale.value},
    lambda scale: (scale.parameterization,),
    lambda parts, context: Diagonal(parts[0], *context),
)
register_pytree(
    Isotropic,
    lambda scale: {},
    lambda scale: (scale.number, scale.parameterization),
    lambda parts, context: Isotropic(*context),
)
