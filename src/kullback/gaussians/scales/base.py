"""What a Gaussian asks of its scale, whichever way that was given."""

import abc
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from kullback.numerics.immutable import register_pytree
from kullback.numerics.linear_algebra import identity_like, solve_lower, solve_lower_vector

if TYPE_CHECKING:
    from typing import Self


class Scale(abc.ABC):
    """The scale of a batch of Gaussians, as it was given. Immutable; nothing is factored before a formula asks.

    ``event`` is the event shape of the Gaussian. Unless a method says otherwise, results have the shape of the batch.
    """

    parameterization: str
    """The name of the constructor that it came by: ``from_<parameterization>``."""

    is_diagonal: ClassVar[bool] = False
    has_density: ClassVar[bool] = True
    """False for one that may be singular: it has a ``root`` and no ``factor_matrix``."""

    @abc.abstractmethod
    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The tensors that it consists of, each with the number of its dimensions that are not batch."""

    @abc.abstractmethod
    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> "Self":
        """The same scale, every tensor replaced by ``function`` of it and the number of its dimensions that are not
        batch.
        """

    @abc.abstractmethod
    def cast(self, dtype: torch.dtype, device: torch.device) -> "Scale":
        """The same scale as tensors of this dtype and device."""

    @abc.abstractmethod
    def factor_matrix(self, event: torch.Size) -> Tensor:
        """Lower triangular factors of the covariance matrices, ``(*batch, d, d)``."""

    def root(self, event: torch.Size) -> Tensor:
        """Factors of the covariance matrices of any shape ``(*batch, d, r)``."""
        return self.factor_matrix(event)

    @abc.abstractmethod
    def half_log_det(self, event: torch.Size) -> Tensor:
        """Half of the logarithm of the determinant of the covariance."""

    @abc.abstractmethod
    def half_mahalanobis(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
        """Half of the squared Mahalanobis distance of ``x`` from ``center``."""

    @abc.abstractmethod
    def draw(self, shape: torch.Size, like: Tensor, generator: torch.Generator | None) -> Tensor:
        """Centred samples of this shape, which ends with the event."""

    @abc.abstractmethod
    def stds(self, event: torch.Size) -> Tensor:
        """The marginal standard deviations, of shape ``(*batch, *event)`` up to broadcasting."""

    @abc.abstractmethod
    def variances(self, event: torch.Size) -> Tensor:
        """The marginal variances, of shape ``(*batch, *event)`` up to broadcasting."""

    @abc.abstractmethod
    def covariance_matrix(self, event: torch.Size) -> Tensor:
        """The covariance matrices, ``(*batch, d, d)``, d counting the coordinates of the whole event."""

    @abc.abstractmethod
    def precision_matrix(self, event: torch.Size) -> Tensor:
        """The inverses of the covariance matrices, ``(*batch, d, d)``."""

    @abc.abstractmethod
    def marginal(self, index: list[int]) -> "Scale":
        """The scale of some coordinates of a vector, as it was given."""

    @abc.abstractmethod
    def affine(self, matrix: Tensor) -> "Scale":
        """The scale of A x for matrices A ``(*batch, k, d)``, k at most d, of a scale that has been cast."""

    @abc.abstractmethod
    def conditional_stds(self, event: torch.Size) -> Tensor:
        """The standard deviation of each coordinate given all others: of the inverse of the precision's diagonal."""

    @abc.abstractmethod
    def to_torch(self, mean: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """The distribution of torch with this scale and mean (which has the shape of batch and event)."""


class MatrixScale(Scale):
    """A scale that correlates the coordinates of a vector: a dataclass of nothing but tensors.

    It can say its covariance and a lower triangular factor of it, in the parameterization's own most exact way.
    """

    _event_dims: ClassVar[tuple[int, ...]] = (2,)  # of each tensor
    _fields: ClassVar[tuple[tuple[str, int], ...]]  # the names of the tensors, and their event dimensions

    def parts(self, event_dims: int) -> list[tuple[Tensor, int]]:
        """The tensors, each with the number of its dimensions that are not batch."""
        return [(getattr(self, name), dims) for name, dims in self._fields]

    def map(self, function: Callable[[Tensor, int], Tensor], event_dims: int = 1) -> "Self":
        """The same scale, every tensor replaced."""
        return type(self)(*[function(getattr(self, name), dims) for name, dims in self._fields])

    def cast(self, dtype: torch.dtype, device: torch.device) -> "Self":
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

    def half_mahalanobis(self, x: Tensor, center: Tensor, event: torch.Size) -> Tensor:
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

    def variances(self, event: torch.Size) -> Tensor:
        """The diagonal of the covariance."""
        return self.covariance().diagonal(dim1=-2, dim2=-1)

    def covariance_matrix(self, event: torch.Size) -> Tensor:
        """The covariance."""
        return self.covariance()

    def factor_matrix(self, event: torch.Size) -> Tensor:
        """The lower triangular factor."""
        return self.tril()

    def precision_matrix(self, event: torch.Size) -> Tensor:
        """From L⁻¹."""
        inverse = self._inverse_of_tril()
        return inverse.mT @ inverse

    def conditional_stds(self, event: torch.Size) -> Tensor:
        """From the columns of L⁻¹."""
        return 1.0 / self._inverse_of_tril().square().sum(-2).sqrt()

    def _inverse_of_tril(self) -> Tensor:
        factor = self.tril()
        return solve_lower(factor, identity_like(factor).expand_as(factor))

    def to_torch(self, mean: Tensor, event_dims: int) -> torch.distributions.Distribution:
        """As ``MultivariateNormal``."""
        return torch.distributions.MultivariateNormal(mean, scale_tril=self.tril())


def register(cls: type[MatrixScale]) -> type[MatrixScale]:
    """Make a dataclass of nothing but tensors a scale, and a pytree of them."""
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    cls._fields = tuple(zip(names, cls._event_dims, strict=True))
    register_pytree(
        cls, lambda scale: {name: getattr(scale, name) for name in names}, lambda _: (), lambda parts, _: cls(*parts)
    )
    return cls
