"""The noun of the library: a batch of Gaussians, each given the way people have it."""

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kullback.adapt.arrays import FLOATING, as_given, to_tensor
from kullback.common import broadcast_shapes, common_device, common_dtype, common_kind, compute_dtype, no_autocast
from kullback.errors import ShapeError
from kullback.moments import moments
from kullback.scale.base import Scale, cast
from kullback.scale.diagonal import Diagonal, Parameterisation
from kullback.scale.low_rank import LowRank
from kullback.scale.matrix import Dense, Precision, Tril
from kullback.validation import (
    check_factor,
    check_finite,
    check_matrix_shape,
    check_positive_definite,
    check_scale_shape,
    check_scale_values,
    shape_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class Gaussian:
    r"""A batch of Gaussians :math:`\mathcal N(\mu, \Sigma)`, built by a ``from_*`` constructor.

    Shape:
        The last ``event_dims`` dimensions of the mean are one Gaussian's coordinates (``event_shape``; 1 by default,
        3 for image latents ``(B, C, H, W)``, 0 for independent one-dimensional Gaussians). Everything before is batch,
        and broadcasts; events never do.

    What was given is kept: means, and scales as standard deviations, variances, log-variances, covariances, their
    Cholesky factors, precisions, or low-rank factors; no d × d matrix is made of what is not one, unless a formula says
    so. If everything was NumPy (or lists), results are NumPy arrays. Instances are immutable torch pytrees.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> Gaussian.from_logvar(torch.zeros(32, 64), torch.zeros(32, 64))
        Gaussian(batch_shape=(32,), event_shape=(64,), given as logvar, dtype=float32, device=cpu)
    """

    location: Tensor | float
    scale: Scale
    event: int | torch.Size = 1  # how many dimensions of the location are the event; the event shape if it is a number
    numpy: bool | None = None  # was all that was given NumPy? None: nothing but numbers, which take any kind

    def __post_init__(self) -> None:
        if not isinstance(self.scale, Scale):
            raise TypeError(
                "Gaussian(mean, scale)? Say what the scale is: from_std, from_variance, from_logvar or from_covariance."
            )

    @classmethod
    def from_std(cls, mean: Any, std: Any, *, event_dims: int = 1, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and standard deviations.

        Args:
            mean: shape ``(*batch, *event)``. Tensor, NumPy array or list.
            std: shape ``(*batch, *event)``, positive; a number (or 0-d tensor) is one scale for every coordinate.
            event_dims: how many of the last dimensions of ``mean`` are one Gaussian's coordinates.
            validate: None looks at the values of CPU tensors once; True looks on any device; False never does.

        Raises:
            ShapeError: if the event of ``std`` is not that of ``mean``, or the batches do not broadcast.
            ValueError: if a standard deviation is not positive and finite.

        Example:
            >>> Gaussian.from_std([0.0, 0.0, 0.0], 0.5)
            Gaussian(batch_shape=(), event_shape=(3,), given as std, dtype=float64, device=cpu)
        """
        return cls._given(mean, std, "std", event_dims=event_dims, validate=validate)

    @classmethod
    def from_variance(
        cls, mean: Any, variance: Any, *, event_dims: int = 1, validate: bool | None = None
    ) -> "Gaussian":
        """Gaussians from means and variances (squared standard deviations); otherwise as :meth:`from_std`."""
        return cls._given(mean, variance, "variance", event_dims=event_dims, validate=validate)

    @classmethod
    def from_logvar(cls, mean: Any, logvar: Any, *, event_dims: int = 1, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and logarithms of variances, as most encoders give them; otherwise as :meth:`from_std`.

        The log-variance is never exponentiated to be taken back: -200 and 200 are ordinary inputs in float32.
        """
        return cls._given(mean, logvar, "logvar", event_dims=event_dims, validate=validate)

    @classmethod
    def _given(
        cls, mean: Any, scale: Any, given: Parameterisation, *, event_dims: int, validate: bool | None
    ) -> "Gaussian":
        if _plain(mean, scale, event_dims):
            check_scale_values(scale, given, validate=validate)
            return cls(mean, Diagonal(scale, given), event_dims, numpy=False)
        location, location_numpy = to_tensor(mean, "mean")
        value, value_numpy = to_tensor(scale, given)
        event_dims = _count(event_dims, "event_dims")
        dims = location.ndim if isinstance(location, Tensor) else 0
        if event_dims > dims:
            raise ShapeError(
                f"from_{given} got a mean of shape {shape_of(location)} and event_dims={event_dims}: "
                f"a mean has at least event_dims dimensions. For independent one-dimensional Gaussians, event_dims=0."
            )
        event = location.shape[dims - event_dims :] if isinstance(location, Tensor) else torch.Size()
        check_scale_shape(location, value, event, given)
        check_scale_values(value, given, validate=validate)
        flags = [flag for flag in (location_numpy, value_numpy) if flag is not None]
        return cls(
            location,
            Diagonal(value, given),
            event_dims if isinstance(location, Tensor) else event,
            all(flags) if flags else None,
        )

    @classmethod
    def from_covariance(cls, mean: Any, covariance: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and covariance matrices.

        Args:
            mean: shape ``(*batch, d)``. Tensor, NumPy array or list; a number stands for d of them.
            covariance: shape ``(*batch, d, d)``, symmetric and positive definite.
            validate: None looks at the values of CPU tensors once; True looks on any device; False never does.

        Raises:
            ShapeError: if the matrix does not fit the mean, or the batches do not broadcast.
            NotPositiveDefinite: if a matrix is singular or not positive definite, with its index and the pivot.
            ValueError: if a matrix is not symmetric or not finite.

        Example:
            >>> Gaussian.from_covariance([0.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
            Gaussian(batch_shape=(), event_shape=(2,), given as covariance, dtype=float64, device=cpu)
        """
        location, matrix, numpy = _mean_and_matrix(mean, covariance, "covariance")
        event = check_matrix_shape(location, matrix, "covariance")
        check_positive_definite(matrix, "covariance", validate=validate)
        return cls(location, Dense(matrix), _event(location, event), numpy)

    @classmethod
    def from_scale_tril(cls, mean: Any, scale_tril: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and lower Cholesky factors L of the covariance L Lᵀ, ``(*batch, d, d)`` with a positive
        diagonal; otherwise as :meth:`from_covariance`.
        """
        location, matrix, numpy = _mean_and_matrix(mean, scale_tril, "scale_tril")
        event = check_matrix_shape(location, matrix, "scale_tril")
        check_factor(matrix, "scale_tril", validate=validate)
        return cls(location, Tril(matrix), _event(location, event), numpy)

    @classmethod
    def from_precision(cls, mean: Any, precision: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians from means and precisions (inverses of covariances), ``(*batch, d, d)``, symmetric and positive
        definite; otherwise as :meth:`from_covariance`. Nothing is inverted before a formula has to.
        """
        location, matrix, numpy = _mean_and_matrix(mean, precision, "precision")
        event = check_matrix_shape(location, matrix, "precision")
        check_positive_definite(matrix, "precision", validate=validate)
        return cls(location, Precision(matrix), _event(location, event), numpy)

    @classmethod
    def from_low_rank(cls, mean: Any, factor: Any, variance: Any, *, validate: bool | None = None) -> "Gaussian":
        """Gaussians with the covariances diag(variance) + factor factorᵀ, of which no d × d matrix is made.

        Args:
            mean: shape ``(*batch, d)``.
            factor: shape ``(*batch, d, r)``.
            variance: shape ``(*batch, d)``, positive; a number is one variance for every coordinate.
            validate: as in :meth:`from_covariance`, whose errors it shares.

        Example:
            >>> Gaussian.from_low_rank(torch.zeros(1000), torch.ones(1000, 2), 0.1)
            Gaussian(batch_shape=(), event_shape=(1000,), given as low_rank, dtype=float32, device=cpu)
        """
        location, matrix, numpy = _mean_and_matrix(mean, factor, "factor")
        event = check_matrix_shape(location, matrix, "factor", square=False)
        check_finite(matrix, "factor", validate=validate)
        value, value_numpy = to_tensor(variance, "variance")
        if isinstance(value, Tensor) and value.ndim:
            check_scale_shape(location, value, event, "variance")
            check_scale_shape(torch.empty(matrix.shape[:-1], device="meta"), value, event, "variance")
        check_scale_values(value, "variance", validate=validate, caller="from_low_rank")
        if not isinstance(value, Tensor) or not value.ndim:
            value = cast(value, matrix.dtype, matrix.device).expand(event)
        numpy = None if numpy is None and value_numpy is None else (numpy is not False and value_numpy is not False)
        return cls(location, LowRank(matrix, value), _event(location, event), numpy)

    @classmethod
    def standard(
        cls, d: int | Sequence[int], *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> "Gaussian":
        """The standard normal in ``d`` dimensions (or of event shape ``d``).

        Without a dtype and a device it takes both, and the kind of array, from what it meets.

        Example:
            >>> Gaussian.standard(64)
            Gaussian(batch_shape=(), event_shape=(64,), given as std, dtype and device of what it meets)
        """
        event = torch.Size(_count(n, "a dimension") for n in (d if isinstance(d, Sequence) else (d,)))
        standard = cls(0.0, Diagonal(1.0, "std"), event)
        return standard if dtype is None and device is None else standard.to(dtype=dtype, device=device)

    @classmethod
    def from_samples(cls, x: Any, *, structure: Literal["diagonal", "full"] = "diagonal") -> "Gaussian":
        """The Gaussian with the mean of samples and their unbiased variances (as standard deviations) or covariance.

        Args:
            x: shape ``(n, *batch, d)``, n at least 2: the rows are the samples.
            structure: ``"diagonal"``, or ``"full"``, which needs more samples than coordinates.

        Raises:
            ValueError: if there are fewer than two samples, or a coordinate does not vary.
            NotPositiveDefinite: if the samples lie in fewer dimensions than they have coordinates.

        Example:
            >>> Gaussian.from_samples([[-1.0], [0.0], [1.0]]).scale.value
            tensor([1.], dtype=torch.float64)
        """
        if structure not in ("diagonal", "full"):
            raise ValueError(f"structure must be 'diagonal' or 'full', got {structure!r}.")
        samples, numpy = to_tensor(x, "x")
        if not isinstance(samples, Tensor) or samples.ndim < 2 or samples.shape[0] < 2:
            raise ShapeError(f"from_samples needs x of shape (n, d) with n >= 2, got {shape_of(samples)}.")
        mean, scale = moments(samples.to(compute_dtype([samples])), full=structure == "full")
        return cls(mean, scale, 1, numpy)

    @classmethod
    def stack(cls, gaussians: Iterable[Any]) -> "Gaussian":
        """Gaussians of one event shape, and batch shapes that broadcast, along a new first batch dimension.

        The parameterisation is kept if all have the same. Diagonals that differ become log-variances if one of them is
        that, else standard deviations; diagonal and low-rank scales become low-rank; others Cholesky factors.
        """
        from kullback.adapt.gaussians import as_gaussian
        from kullback.scale.stack import stack_scales

        gaussians = [as_gaussian(g, f"gaussians[{i}]") for i, g in enumerate(gaussians)]
        if not gaussians:
            raise ValueError("stack needs at least one Gaussian.")
        event = gaussians[0].event_shape
        for other in gaussians[1:]:
            if other.event_shape != event:
                raise ShapeError(f"stack got event shapes {tuple(event)} and {tuple(other.event_shape)}.")
        # Half precision is kept where nothing has to be converted.
        dtype = common_dtype(gaussians, half=len({g.scale.given for g in gaussians}) == 1)
        device = common_device(gaussians)
        try:
            batch = broadcast_shapes(*(g.batch_shape for g in gaussians))
        except RuntimeError:
            shapes = ", ".join(str(tuple(g.batch_shape)) for g in gaussians)
            raise ShapeError(f"stack got batch shapes that do not broadcast: {shapes}.") from None
        means = [cast(g.location, dtype, device).broadcast_to(batch + event) for g in gaussians]
        scale = stack_scales([g.scale for g in gaussians], dtype, device, batch, event)
        return cls(torch.stack(means), scale, len(event), common_kind(gaussians))

    @property
    def mean(self) -> Tensor:
        """The mean, of the shape it was given in."""
        if isinstance(self.location, Tensor):
            return self.location
        return torch.full(self.event_shape, self.location)

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one Gaussian's coordinates."""
        if not isinstance(self.event, int):
            return self.event
        assert isinstance(self.location, Tensor)
        return self.location.shape[self.location.ndim - self.event :]

    @property
    def event_dims(self) -> int:
        """The number of event dimensions."""
        return self.event if isinstance(self.event, int) else len(self.event)

    @property
    def event_size(self) -> int:
        """The number of coordinates of one Gaussian: its dimension."""
        return math.prod(self.event_shape)

    @property
    def batch_shape(self) -> torch.Size:
        """The shape of the batch."""
        parts = self.scale.parts(self.event_dims)
        if isinstance(self.location, Tensor):
            parts = [(self.location, self.event_dims), *parts]
        shapes = [x.shape[: x.ndim - n] for x, n in parts if x.ndim]
        if len(shapes) == 1 or (len(shapes) == 2 and shapes[0] == shapes[1]):
            return shapes[0]
        return broadcast_shapes(*shapes) if shapes else torch.Size()

    @property
    def dtype(self) -> torch.dtype:
        """The dtype that the numbers given promote to; torch's default if they are Python numbers."""
        return common_dtype([self], half=True)

    @property
    def device(self) -> torch.device:
        """The device of what was given."""
        return common_device([self])

    def tensors(self) -> list[Tensor]:
        """What was given as tensors: the mean, the scale, or both."""
        location = [self.location] if isinstance(self.location, Tensor) else []
        return location + [x for x, _ in self.scale.parts(self.event_dims)]

    def to(
        self,
        *targets: torch.dtype | torch.device | str | None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> "Gaussian":
        """The same Gaussians in another dtype, on another device, or both; by name, or in any order."""
        for target in targets:
            if isinstance(target, torch.dtype):
                dtype = target
            elif target is not None:
                device = target
        dtype = self.dtype if dtype is None else dtype
        device = self.device if device is None else torch.device(device)
        if dtype not in FLOATING:
            raise TypeError(f"a Gaussian is float16, bfloat16, float32 or float64, not {dtype}.")
        scale = self.scale.map(lambda x, _: x.to(device=device, dtype=dtype), self.event_dims)
        if isinstance(self.location, Tensor):
            location = self.location.to(device=device, dtype=dtype)
        else:
            location = torch.full(self.event_shape, self.location, dtype=dtype, device=device)
        return replace(self, location=location, scale=scale, event=self.event_dims)

    def cast(self, dtype: torch.dtype, device: torch.device) -> "Gaussian":
        """As tensors that a formula can compute with; numbers become tensors without dimensions."""
        return replace(
            self,
            location=cast(self.location, dtype, device),
            scale=self.scale.cast(dtype, device),
            event=self.event_shape,
        )

    def detach(self) -> "Gaussian":
        """The same Gaussians, cut off from the graph of gradients."""
        return replace(
            self,
            location=self.location.detach() if isinstance(self.location, Tensor) else self.location,
            scale=self.scale.map(lambda x, _: x.detach(), self.event_dims),
        )

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Any:
        """``n`` samples from each, of shape ``(n, *batch, *event)``; gradients flow through them."""
        n = _count(n, "a number of samples")
        p = self.cast(common_dtype([self]), self.device)
        assert isinstance(p.location, Tensor)
        shape = (n, *self.batch_shape, *self.event_shape)
        centred = p.scale.draw(torch.Size(shape), p.location, generator)
        return as_given(p.location + centred, numpy=self.numpy is True)

    def log_prob(self, x: Any) -> Any:
        """The log-density at ``x``, of shape ``(..., *event)``; what leads broadcasts with the batch."""
        point, numpy = to_tensor(x, "x")
        if not isinstance(point, Tensor) and self.event_dims == 0:
            point = torch.tensor(point)
        if not isinstance(point, Tensor) or point.shape[point.ndim - self.event_dims :] != self.event_shape:
            raise ShapeError(f"log_prob got x of shape {shape_of(point)} for event shape {tuple(self.event_shape)}.")
        dtype = compute_dtype([*self.tensors(), point])
        with no_autocast(point.device):
            p = self.cast(dtype, point.device)
            assert isinstance(p.location, Tensor)
            distance = p.scale.half_square(point.to(dtype), p.location, self.event_shape)
            constant = 0.5 * self.event_size * math.log(2 * math.pi)
            result = -constant - p.scale.half_log_det(self.event_shape) - distance
        return as_given(result, numpy=self.numpy is not False and numpy is True)

    def entropy(self) -> Any:
        """The differential entropy in nats, of shape ``batch``."""
        with no_autocast(self.device):
            p = self.cast(common_dtype([self]), self.device)
            constant = 0.5 * self.event_size * (1.0 + math.log(2 * math.pi))
            result = p.scale.half_log_det(self.event_shape).broadcast_to(self.batch_shape) + constant
        return as_given(result, numpy=self.numpy is True)

    def to_torch(self) -> torch.distributions.Distribution:
        """As ``torch.distributions``: ``Independent(Normal(mean, std), event_dims)``, or ``Normal`` for none;
        ``LowRankMultivariateNormal``; otherwise ``MultivariateNormal`` by its Cholesky factor.
        """
        p = self.cast(common_dtype([self]), self.device)
        assert isinstance(p.location, Tensor)
        return p.scale.to_torch(p.location.broadcast_to(self.batch_shape + self.event_shape), self.event_dims)

    def __getitem__(self, index: Any) -> "Gaussian":
        """Index the batch, as a tensor of shape ``batch_shape`` is indexed; events stay whole."""
        parts = tuple(
            torch.as_tensor(part) if isinstance(part, (list, np.ndarray)) else part
            for part in (index if isinstance(index, tuple) else (index,))
        )
        used = sum(_dims_used(part) for part in parts)
        if used > len(self.batch_shape):
            raise IndexError(
                f"{used} batch dimensions indexed, batch_shape is {tuple(self.batch_shape)}; "
                "coordinates are not indexed."
            )
        if not any(part is Ellipsis for part in parts):
            parts = (*parts, Ellipsis)

        def pick(x: Tensor, n: int) -> Tensor:
            # Without dimensions it is one number for all of the batch, and stays so.
            if not x.ndim and n:
                return x
            return x.broadcast_to(self.batch_shape + x.shape[x.ndim - n :])[(*parts, *[slice(None)] * n)]

        return replace(
            self,
            location=pick(self.mean, self.event_dims),
            scale=self.scale.map(pick, self.event_dims),
            event=self.event_dims,
        )

    def __len__(self) -> int:
        if not self.batch_shape:
            raise TypeError("a single Gaussian has no length; event_size is its dimension.")
        return self.batch_shape[0]

    def __repr__(self) -> str:
        what = (
            f"batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)}, given as {self.scale.given}"
        )
        if not self.tensors():
            return f"Gaussian({what}, dtype and device of what it meets)"
        return f"Gaussian({what}, dtype={str(self.dtype).removeprefix('torch.')}, device={self.device})"


def _plain(mean: Any, scale: Any, event_dims: Any) -> bool:
    """Two floating tensors of one shape: what training loops pass, and nothing to convert or to complain of."""
    return (
        type(mean) is Tensor
        and type(scale) is Tensor
        and mean.shape == scale.shape
        and mean.dtype in FLOATING
        and scale.dtype in FLOATING
        and type(event_dims) is int
        and 0 <= event_dims <= mean.ndim
    )


def _count(n: Any, what: str) -> int:
    try:
        count = -1 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        count = -1
    if count < 0:
        raise TypeError(f"{what} is a whole number from 0 up, got {n!r}.")
    return count


def _mean_and_matrix(mean: Any, matrix: Any, name: str) -> tuple[Tensor | float, Any, bool | None]:
    """Both as tensors, and whether all that was given was NumPy."""
    location, location_numpy = to_tensor(mean, "mean")
    value, value_numpy = to_tensor(matrix, name)
    flags = [flag for flag in (location_numpy, value_numpy) if flag is not None]
    return location, value, all(flags) if flags else None


def _event(location: Tensor | float, event: torch.Size) -> int | torch.Size:
    return 1 if isinstance(location, Tensor) and location.ndim else event


def _dims_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype == torch.bool else 1


def _flatten(gaussian: Gaussian) -> tuple[list[Any], tuple[Any, ...]]:
    if isinstance(gaussian.location, float):
        return [gaussian.scale], (gaussian.location, gaussian.event, gaussian.numpy)
    return [gaussian.location, gaussian.scale], (None, gaussian.event, gaussian.numpy)


def _unflatten(children: Any, context: tuple[Any, ...]) -> Gaussian:
    number, event, numpy = context
    *location, scale = children
    return Gaussian(location[0] if number is None else number, scale, event, numpy)


def _flatten_with_keys(gaussian: Gaussian) -> tuple[list[Any], tuple[Any, ...]]:
    children, context = _flatten(gaussian)
    names = ("location", "scale")[-len(children) :]
    return [(pytree.GetAttrKey(name), child) for name, child in zip(names, children, strict=True)], context


pytree.register_pytree_node(
    Gaussian,
    _flatten,
    _unflatten,
    serialized_type_name="kullback.Gaussian",
    flatten_with_keys_fn=_flatten_with_keys,
)
