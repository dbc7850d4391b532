"""Mixtures of Gaussians: weights, and a batch of components along its last dimension."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian, check_gaussian
from kullback.gaussians.inputs import points
from kullback.gaussians.mixture_density import log_mixture
from kullback.gaussians.validation import shape_of
from kullback.numerics.arrays import ArrayKind, common_array_kind, from_callers_type, to_callers_type, to_tensor
from kullback.numerics.display import table
from kullback.numerics.guard import is_concrete
from kullback.numerics.immutable import register_pytree
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype, no_autocast


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Mixture:
    r"""Mixtures :math:`\sum_k \omega_k\, \mathcal N(\mu_k, \Sigma_k)` of Gaussians of any kind.

    Shape:
        The last batch dimension of the components, and the last dimension of the weights, counts the components; what
        comes before is the batch of mixtures.

    Weights are normalized. Instances are immutable torch pytrees. Divergences of mixtures have no closed form:
    :func:`kl_bounds` proves where they lie, :func:`kl_estimate` gives an estimate with its error.

    Example:
        >>> from kullback import Gaussian, Mixture
        >>> Mixture([0.3, 0.7], Gaussian.from_std([[0.0], [2.0]], [[1.0], [0.5]]))
        Mixture[2](batch_shape=(), event_shape=(1,), components given as std)
    """

    log_weights: Tensor  # (*batch, K), normalized
    components: Gaussian  # batch (*batch, K)
    array_kind: ArrayKind

    def __init__(self, weights: Any, components: "Gaussian | Sequence[Gaussian]") -> None:
        """Of weights and Gaussians.

        Args:
            weights: shape ``(*batch, K)``, not negative; divided by their sum.
            components: a batch of Gaussians, ``(*batch, K)``, or a list of K single ones.

        Raises:
            ShapeError: if there are not as many components as weights.
            ValueError: if a weight is negative, or all are 0.
        """
        value, kind = _vector(weights, "weights")
        if is_concrete(value) and not bool((value >= 0).all() & (value.sum(-1) > 0).all() & value.isfinite().all()):
            raise ValueError(
                f"weights are finite, not negative and not all 0, got {float(value.min()):.6g} to "
                f"{float(value.max()):.6g}. Are these logarithms of weights? Then use Mixture.from_logits."
            )
        self._set(value.log(), components, kind)

    @classmethod
    def from_logits(cls, logits: Any, components: "Gaussian | Sequence[Gaussian]") -> "Mixture":
        """Of logarithms of weights, normalized or not; otherwise as the constructor."""
        return cls._of(*_vector(logits, "logits"), components)

    @classmethod
    def _of(cls, logits: Tensor, kind: ArrayKind, components: "Gaussian | Sequence[Gaussian]") -> "Mixture":
        mixture = cls.__new__(cls)
        mixture._set(logits, components, kind)
        return mixture

    @classmethod
    def aggregate(cls, gaussians: Gaussian) -> "Mixture":
        """The aggregated posterior: all Gaussians of a batch, with equal weights.

        Example:
            >>> import torch
            >>> from kullback import Gaussian, Mixture
            >>> Mixture.aggregate(Gaussian.from_std(torch.zeros(1000, 8), torch.ones(1000, 8)))
            Mixture[1000](batch_shape=(), event_shape=(8,), components given as std)
        """
        g = check_gaussian(gaussians, "gaussians")
        if len(g.batch_shape) != 1:
            raise ShapeError(f"aggregate takes a batch of Gaussians, (n,), got batch shape {tuple(g.batch_shape)}.")
        tensors = g.tensors()
        logits = torch.zeros(len(g), dtype=compute_dtype(tensors), device=common_device(tensors))
        return cls._of(logits, ArrayKind.ANY, g)

    def _set(self, logits: Tensor, components: "Gaussian | Sequence[Gaussian]", kind: ArrayKind) -> None:
        if isinstance(components, Sequence):
            components = Gaussian.stack(components)
            if len(components.batch_shape) != 1:
                raise ShapeError(
                    f"components is a list of batches {tuple(components.batch_shape[1:])}: pass one Gaussian of batch "
                    "shape (*batch, K)."
                )
        g = check_gaussian(components, "components")
        if not g.batch_shape or logits.shape[-1] != g.batch_shape[-1]:
            raise ShapeError(
                f"{logits.shape[-1]} weights for components of batch shape {tuple(g.batch_shape)}: the last batch "
                "dimension counts the components."
            )
        if not logits.shape[-1]:
            raise ShapeError("a mixture has at least one component, got none.")
        batch = broadcast_shapes(
            logits.shape,
            g.batch_shape,
            error=lambda: (
                f"weights of shape {tuple(logits.shape)} do not broadcast with components of batch shape "
                f"{tuple(g.batch_shape)}."
            ),
        )
        if g.batch_shape != batch:
            g = g.expand(batch)
        dtype = compute_dtype([logits, *g.tensors()])
        object.__setattr__(self, "log_weights", logits.to(dtype).log_softmax(-1).expand(batch))
        object.__setattr__(self, "components", g)
        object.__setattr__(self, "array_kind", common_array_kind((kind, g.array_kind)))

    @property
    def weights(self) -> Tensor:
        """The normalized weights, ``(*batch, K)``."""
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
        return Mixture._of(self.log_weights.to(dtype=compute_dtype(g.tensors()), device=g.device), self.array_kind, g)

    def log_prob(self, x: Any) -> Any:
        """The log-density at ``x``, of shape ``(..., *event)``; what leads broadcasts with the batch.

        Exact over all components. Of one mixture at many points, without gradients, it is computed in tiles by matrix
        products in float64, and again directly wherever these cancel and the component matters.
        """
        point, kind = points(x, self.event_shape)
        with no_autocast(point.device):
            result = log_mixture(self.log_weights, self.components, point)
        return to_callers_type(result, common_array_kind((self.array_kind, kind)))

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
        drawn_points = from_callers_type(self.chosen(drawn).sample(1, generator=generator))[0]
        return to_callers_type(drawn_points, self.array_kind)

    @property
    def mean(self) -> Tensor:
        """The mean, ``(*batch, *event)``."""
        g = self.components
        means = g.mean.broadcast_to(g.batch_shape + g.event_shape).to(self.dtype)
        weights = self.weights.reshape(*self.log_weights.shape, *[1] * self.event_dims)
        return (weights * means).sum(-1 - self.event_dims)

    def _repr_html_(self) -> str:
        return table(
            "Mixture",
            {
                "batch shape": tuple(self.batch_shape),
                "event shape": tuple(self.event_shape),
                "components": f"{self.n_components:,}, given as {self.components.scale.parameterization}",
            },
        )

    def __repr__(self) -> str:
        shapes = f"batch_shape={tuple(self.batch_shape)}, event_shape={tuple(self.event_shape)}"
        return f"Mixture[{self.n_components}]({shapes}, components given as {self.components.scale.parameterization})"


def as_mixture(x: Gaussian | Mixture) -> Mixture:
    """``x`` as a mixture; a Gaussian is a mixture of one component."""
    if isinstance(x, Mixture):
        return x
    one = x if x.tensors() else x.to()
    return Mixture.from_logits(torch.zeros(1, dtype=compute_dtype(one.tensors()), device=one.device), one[..., None])


def _vector(x: Any, name: str) -> tuple[Tensor, ArrayKind]:
    value, kind = to_tensor(x, name)
    if not isinstance(value, Tensor) or not value.ndim:
        raise ShapeError(f"{name} have a dimension that counts the components, got {shape_of(value)}.")
    return value, kind


def _rebuild(parts: list[Any], context: tuple[Any, ...]) -> Mixture:
    mixture = Mixture.__new__(Mixture)
    for name, value in zip(("log_weights", "components", "array_kind"), (*parts, *context), strict=True):
        object.__setattr__(mixture, name, value)
    return mixture


register_pytree(
    Mixture,
    lambda mixture: {"log_weights": mixture.log_weights, "components": mixture.components},
    lambda mixture: (mixture.array_kind,),
    _rebuild,
)
