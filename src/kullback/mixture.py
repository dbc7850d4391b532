"""Mixtures of Gaussians: weights, and a batch of components along its last dimension."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from kullback.adapt.arrays import as_given, to_tensor
from kullback.adapt.gaussians import as_gaussian
from kullback.common import broadcast_shapes, common_device, common_dtype, compute_dtype, no_autocast
from kullback.concrete import has_visible_values
from kullback.errors import ShapeError
from kullback.gaussian import Gaussian
from kullback.log_densities import log_mixture
from kullback.validation import shape_of


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Mixture:
    r"""Mixtures :math:`\sum_k \omega_k\, \mathcal N(\mu_k, \Sigma_k)` of Gaussians of any kind.

    Shape:
        The last batch dimension of the components, and the last dimension of the weights, counts the components; what
        comes before is the batch of mixtures.

    Weights are normalised. Instances are immutable torch pytrees. Divergences of mixtures have no closed form:
    :func:`kl_bounds` proves where they lie, :func:`kl_estimate` gives an estimate with its error.

    Example:
        >>> from kullback import Gaussian, Mixture
        >>> Mixture([0.3, 0.7], Gaussian.from_std([[0.0], [2.0]], [[1.0], [0.5]]))
        Mixture[2](batch_shape=(), event_shape=(1,), components given as std)
    """

    log_weights: Tensor  # (*batch, K), normalised
    components: Gaussian  # batch (*batch, K)
    numpy: bool

    def __init__(self, weights: Any, components: Any) -> None:
        """Of weights and Gaussians.

        Args:
            weights: shape ``(*batch, K)``, not negative; divided by their sum.
            components: a batch of Gaussians, ``(*batch, K)``, or a list of K single ones.

        Raises:
            ShapeError: if there are not as many components as weights.
            ValueError: if a weight is negative, or all are 0.
        """
        value, numpy = _vector(weights, "weights")
        if has_visible_values(value) and not bool(
            (value >= 0).all() & (value.sum(-1) > 0).all() & value.isfinite().all()
        ):
            raise ValueError(
                f"weights are finite, not negative and not all 0, got {float(value.min()):.6g} to "
                f"{float(value.max()):.6g}. Are these logarithms of weights? Then use Mixture.from_logits."
            )
        self._set(value.log(), components, numpy=numpy)

    @classmethod
    def from_logits(cls, logits: Any, components: Any) -> "Mixture":
        """Of logarithms of weights, normalised or not; otherwise as the constructor."""
        value, numpy = _vector(logits, "logits")
        mixture = cls.__new__(cls)
        mixture._set(value, components, numpy=numpy)
        return mixture

    @classmethod
    def aggregate(cls, gaussians: Any) -> "Mixture":
        """The aggregated posterior: all Gaussians of a batch, with equal weights.

        Example:
            >>> import torch
            >>> from kullback import Gaussian, Mixture
            >>> Mixture.aggregate(Gaussian.from_std(torch.zeros(1000, 8), torch.ones(1000, 8)))
            Mixture[1000](batch_shape=(), event_shape=(8,), components given as std)
        """
        g = as_gaussian(gaussians, "gaussians")
        if len(g.batch_shape) != 1:
            raise ShapeError(f"aggregate takes a batch of Gaussians, (n,), got batch shape {tuple(g.batch_shape)}.")
        mixture = cls.__new__(cls)
        mixture._set(torch.zeros(len(g), dtype=common_dtype([g]), device=common_device([g])), g, numpy=None)
        return mixture

    def _set(self, logits: Tensor, components: Any, *, numpy: bool | None) -> None:
        if isinstance(components, Sequence):
            components = Gaussian.stack(components)
            if len(components.batch_shape) != 1:
                raise ShapeError(
                    f"components is a list of batches {tuple(components.batch_shape[1:])}: pass one Gaussian of batch "
                    "shape (*batch, K)."
                )
        g = as_gaussian(components, "components")
        if not g.batch_shape or logits.shape[-1] != g.batch_shape[-1]:
            raise ShapeError(
                f"{logits.shape[-1]} weights for components of batch shape {tuple(g.batch_shape)}: the last batch "
                "dimension counts the components."
            )
        if not logits.shape[-1]:
            raise ShapeError("a mixture has at least one component, got none.")
        try:
            batch = broadcast_shapes(logits.shape, g.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"weights of shape {tuple(logits.shape)} do not broadcast with components of batch shape "
                f"{tuple(g.batch_shape)}."
            ) from None
        if g.batch_shape != batch:
            g = replace(g, location=g.mean.broadcast_to(batch + g.event_shape), event=g.event_dims)
        dtype = compute_dtype([logits, *g.tensors()])
        object.__setattr__(self, "log_weights", logits.to(dtype).log_softmax(-1).expand(batch))
        object.__setattr__(self, "components", g)
        object.__setattr__(self, "numpy", numpy is not False and g.numpy is True)

    @property
    def weights(self) -> Tensor:
        """The normalised weights, ``(*batch, K)``."""
        return self.log_weights.exp()

    @property
    def batch_shape(self) -> torch.Size:
        """The batch of mixtures."""
        return self.components.batch_shape[:-1]

    @property
    def event_shape(self) -> torch.Size:
        """The shape of one point."""
        return self.components.event_shape

    @property
    def event_dims(self) -> int:
        """How many dimensions a point has."""
        return self.components.event_dims

    @property
    def event_size(self) -> int:
        """How many coordinates a point has."""
        return self.components.event_size

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights, which is never less than float32."""
        return self.log_weights.dtype

    @property
    def device(self) -> torch.device:
        """Where the components are."""
        return self.components.device

    @property
    def n_components(self) -> int:
        """How many components there are."""
        return self.log_weights.shape[-1]

    def tensors(self) -> list[Tensor]:
        """The logarithms of the weights, and what was given of the components."""
        return [self.log_weights, *self.components.tensors()]

    def to(self, *targets: Any, **named: Any) -> "Mixture":
        """In another dtype, on another device, or both, as :meth:`Gaussian.to` takes them."""
        g = self.components.to(*targets, **named)
        mixture = Mixture.__new__(Mixture)
        mixture._set(self.log_weights.to(dtype=compute_dtype(g.tensors()), device=g.device), g, numpy=self.numpy)
        return mixture

    def log_prob(self, x: Any) -> Any:
        """The log-density at ``x``, of shape ``(..., *event)``; what leads broadcasts with the batch.

        Exact over all components. Of one mixture at many points, without gradients, it is computed in tiles by matrix
        products in float64, and again directly wherever these cancel and the component matters.
        """
        point, numpy = to_tensor(x, "x")
        if not isinstance(point, Tensor) and self.event_dims == 0:
            point = torch.tensor(point)
        if not isinstance(point, Tensor) or point.shape[point.ndim - self.event_dims :] != self.event_shape:
            raise ShapeError(f"log_prob got x of shape {shape_of(point)} for event shape {tuple(self.event_shape)}.")
        with no_autocast(point.device):
            result = log_mixture(self.log_weights, self.components, point)
        return as_given(result, numpy=self.numpy and numpy is True)

    def chosen(self, where: Tensor) -> Gaussian:
        """The component of each mixture that ``where`` says, ``(n, *batch)``: Gaussians of that batch shape."""
        batch = self.batch_shape
        axes = [
            torch.arange(m, device=where.device).reshape(-1, *[1] * (len(batch) - 1 - i)) for i, m in enumerate(batch)
        ]
        return self.components[(*(axis.expand(where.shape) for axis in axes), where)]

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Any:
        """``n`` samples from each, of shape ``(n, *batch, *event)``.

        Gradients flow to the components that were drawn, and not to the weights: an average over these samples has no
        right derivative with respect to them. :func:`kl_estimate`'s has.
        """
        flat = self.log_weights.detach().exp().reshape(-1, self.n_components)
        drawn = torch.multinomial(flat, n, replacement=True, generator=generator).mT.reshape(n, *self.batch_shape)
        points = torch.as_tensor(self.chosen(drawn).sample(1, generator=generator))[0]
        return as_given(points, numpy=self.numpy)

    @property
    def mean(self) -> Tensor:
        """The mean, ``(*batch, *event)``."""
        g = self.components
        means = g.mean.broadcast_to(g.batch_shape + g.event_shape).to(self.dtype)
        weights = self.weights.reshape(*self.log_weights.shape, *[1] * self.event_dims)
        return (weights * means).sum(-1 - self.event_dims)

    def __repr__(self) -> str:
        shapes = f"batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)}"
        return f"Mixture[{self.n_components}]({shapes}, components given as {self.components.scale.given})"


def _vector(x: Any, name: str) -> tuple[Tensor, bool | None]:
    value, numpy = to_tensor(x, name)
    if not isinstance(value, Tensor) or not value.ndim:
        raise ShapeError(f"{name} have a dimension that counts the components, got {shape_of(value)}.")
    return value, numpy


def _flatten(mixture: Mixture) -> tuple[list[Any], tuple[Any, ...]]:
    return [mixture.log_weights, mixture.components], (mixture.numpy,)


def _unflatten(children: Any, context: tuple[Any, ...]) -> Mixture:
    mixture = Mixture.__new__(Mixture)
    for name, value in zip(("log_weights", "components", "numpy"), (*children, *context), strict=True):
        object.__setattr__(mixture, name, value)
    return mixture


def _flatten_with_keys(mixture: Mixture) -> tuple[list[Any], tuple[Any, ...]]:
    children, context = _flatten(mixture)
    names = ("log_weights", "components")
    return [(pytree.GetAttrKey(name), child) for name, child in zip(names, children, strict=True)], context


pytree.register_pytree_node(
    Mixture,
    _flatten,
    _unflatten,
    serialized_type_name="kullback.Mixture",
    flatten_with_keys_fn=_flatten_with_keys,
)
