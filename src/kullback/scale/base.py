"""What a Gaussian asks of its scale, whichever way that was given."""

import abc
from collections.abc import Callable
from dataclasses import fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kullback.linear_algebra import identity_like, solve_lower, solve_lower_vector


class Scale(abc.ABC):
    """The scale of a batch of Gaussians, as it was given. Immutable; nothing is factored before a formula asks.

    ``event`` is the event shape of the Gaussian. Unless a method says otherwise, results have the shape of the batch.
    """

    @property
    @abc.abstractmethod
    def given(self) -> str:
        """The name of the constructor that it came by: ``from_<given>``."""

    @abc.abstractmethod
    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The tensors that it consists of, each with the number of its dimensions that are not batch."""

    @abc.abstractmethod
    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> Self:
        """The same scale, every tensor replaced by ``function`` of it and the number of its dimensions that are not
        batch.
        """

    @abc.abstractmethod
    def cast(self, dtype: torch.dtype, device: torch.device) -> "Scale":
        """The same scale as tensors of this dtype and device."""

    @abc.abstractmethod
    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""

    @abc.abstractmethod
    def half_square(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""

    @abc.abstractmethod
    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape, which ends with the event."""

    @abc.abstractmethod
    def stds(self, event: torch.Size) -> Tensor:
        """The marginal standard deviations, of shape ``(*batch, *event)`` up to broadcasting."""

    @abc.abstractmethod
    def conditional_stds(self, event: torch.Size) -> Tensor:
        """The standard deviation of each coordinate given all others: of the inverse of the precision's diagonal."""

    @abc.abstractmethod
    def to_torch(self, location: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """The distribution of torch with this scale and location (which has the shape of batch and event)."""


class MatrixScale(Scale):
    """A scale that correlates the coordinates of a vector: a dataclass of nothing but tensors.

    It can say its covariance and a lower triangular factor of it, in the parameterisation's own most exact way.
    """

    _given: ClassVar[str]
    _event_dims: ClassVar[tuple[int, ...]] = (2,)  # of each tensor

    @property
    def given(self) -> str:
        """The name of the constructor that it came by."""
        return self._given

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What was given."""
        return tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The tensors, each with the number of its dimensions that are not batch."""
        return list(zip(self.tensors, self._event_dims, strict=True))

    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> Self:
        """The same scale, every tensor replaced."""
        return type(self)(*(function(x, n) for x, n in self.parts(event_dims)))

    def cast(self, dtype: torch.dtype, device: torch.device) -> Self:
        """The same scale in this dtype, on this device."""
        return self.map(lambda x, _: x.to(device=device, dtype=dtype))

    @abc.abstractmethod
    def covariance(self) -> Tensor:
        """The covariance matrices, ``(*batch, d, d)``."""

    @abc.abstractmethod
    def tril(self) -> Tensor:
        """Lower triangular factors L of the covariance, L Lᵀ, with positive diagonal; NaN where there is none."""

    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""
        return self.tril().diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def whiten(self, x: Tensor) -> Tensor:
        """L⁻¹x for vectors ``(*batch, d)``, L as ``tril`` gives it."""
        return solve_lower_vector(self.tril(), x)

    def half_square(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""
        y = self.whiten(x - center)
        return (y * (0.5 * y)).sum(-1)

    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape."""
        noise = torch.randn(shape, generator=generator, dtype=like.dtype, device=like.device)
        return (self.tril() @ noise.unsqueeze(-1)).squeeze(-1)

    def stds(self, event: torch.Size) -> Tensor:
        """The marginal standard deviations."""
        return self.covariance().diagonal(dim1=-2, dim2=-1).sqrt()

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """From the columns of L⁻¹."""
        factor = self.tril()
        inverse = solve_lower(factor, identity_like(factor).expand_as(factor))
        return 1.0 / inverse.square().sum(-2).sqrt()

    def to_torch(self, location: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """As ``MultivariateNormal``."""
        return torch.distributions.MultivariateNormal(location, scale_tril=self.tril())


def cast(x: Tensor | float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """A tensor or a number as a tensor of this dtype and device."""
    if isinstance(x, Tensor):
        return x.to(device=device, dtype=dtype)
    return torch.full((), x, dtype=dtype, device=device)


def register(cls: type[MatrixScale]) -> type[MatrixScale]:
    """Make a scale of tensors a pytree of them."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]

    def flatten_with_keys(scale: Any) -> tuple[list[Any], None]:
        return [(pytree.GetAttrKey(name), getattr(scale, name)) for name in names], None

    pytree.register_pytree_node(
        cls,
        lambda scale: ([getattr(scale, name) for name in names], None),
        lambda tensors, _: cls(*tensors),
        serialized_type_name=f"kullback.{cls.__name__}",
        flatten_with_keys_fn=flatten_with_keys,
    )
    return cls
