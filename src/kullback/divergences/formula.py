"""What stands between a public name and its formula: the same for every divergence."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from kullback.adapt.arrays import as_given
from kullback.adapt.gaussians import as_gaussian
from kullback.common import broadcast_shapes, common_device, common_dtype, common_kind, no_autocast
from kullback.divergences.record import Record
from kullback.errors import ShapeError
from kullback.gaussian import Gaussian
from kullback.kernels import choice
from kullback.scale.diagonal import Diagonal, common_parameterisation

if TYPE_CHECKING:
    from kullback.mixture import Mixture

REGISTRY: dict[str, "Divergence"] = {}


@dataclass(frozen=True)
class Divergence:
    """A divergence that has a record: what is true of it, and the public function."""

    record: Record
    function: Callable[..., Any]


def divergence(record: Record) -> Callable[[Callable[..., Tensor]], Callable[..., Any]]:
    """Makes a public function of a formula, and enters it with its record in the registry."""

    def decorate(formula: Callable[..., Tensor]) -> Callable[..., Any]:
        function = public(formula, choice.FASTER.get(record.name))
        REGISTRY[record.name] = Divergence(record, function)
        return function

    return decorate


def public(
    formula: Callable[..., Any], faster: Callable[[Gaussian, Gaussian], Tensor | None] | None = None
) -> Callable[..., Any]:
    """Makes a public function of a formula, and of a faster body that is asked first and may pass.

    The formula gets two Gaussians of tensors, of one event shape, dtype and device, outside autocast; the caller may
    pass anything that stands for a Gaussian, and gets NumPy back for NumPy. Results of several parts are named tuples.
    """
    parameters = inspect.signature(formula).parameters.values()
    positional = [x for x in parameters if x.kind is x.POSITIONAL_OR_KEYWORD]

    @functools.wraps(formula)
    def function(p: Any, q: Any, *more: Any, **named: Any) -> Any:
        if 2 + len(more) > len(positional):
            raise TypeError(
                f"{formula.__name__} takes two Gaussians{_further(positional)}, got {2 + len(more)} arguments. Build "
                "them first: Gaussian.from_std(mean, std), from_variance(...), from_logvar(...), from_covariance(...)."
            )
        p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
        if faster is not None:
            value = faster(p, q)
            if value is not None:
                return value if p.numpy is False or q.numpy is False else as_given(value, numpy=True)
        check_shapes(p, q)
        dtype, device = common_dtype([p, q]), common_device([p, q])
        with no_autocast(device):
            result = formula(*operands(p, q, dtype, device), *more, **named)
        numpy = common_kind([p, q]) is True
        if isinstance(result, tuple):
            parts: list[Any] = [x if x is None else as_given(x, numpy=numpy) for x in result]
            return type(result)(*parts)
        return as_given(result, numpy=numpy)

    return function


def _further(parameters: list[inspect.Parameter]) -> str:
    return "".join(f" and {x.name}" for x in parameters[2:])


def check_shapes(p: "Gaussian | Mixture", q: "Gaussian | Mixture") -> None:
    """Two that can be compared: equal events, batches that broadcast."""
    check_events(p, q)
    if p.batch_shape != q.batch_shape:
        try:
            broadcast_shapes(p.batch_shape, q.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"batches do not broadcast: p has batch shape {tuple(p.batch_shape)}, q has {tuple(q.batch_shape)}  "
                f"{_means(p, q)}."
            ) from None


def check_events(p: "Gaussian | Mixture", q: "Gaussian | Mixture") -> None:
    """Raise a ShapeError unless the events are equal."""
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"p has event shape {tuple(p.event_shape)}, q has {tuple(q.event_shape)}  {_means(p, q)}."
            f"{_event_hint(p, q)}"
        )


def _means(p: "Gaussian | Mixture", q: "Gaussian | Mixture") -> str:
    return f"(p.mean {tuple(p.mean.shape)}, q.mean {tuple(q.mean.shape)})"


def _event_hint(p: "Gaussian | Mixture", q: "Gaussian | Mixture") -> str:
    for name, scalar, other in (("p", p, q), ("q", q, p)):
        if not scalar.event_dims and other.event_dims:
            return (
                f" {name} is a batch of independent one-dimensional Gaussians. If its last dimensions are the "
                f"coordinates of one, say so: Independent({name}, {other.event_dims}) for a torch Normal, "
                f"event_dims={other.event_dims} here."
            )
    if p.event_dims != q.event_dims:
        return (
            " How many of a mean's last dimensions are one Gaussian's coordinates is event_dims: "
            f"{p.event_dims} for p, {q.event_dims} for q."
        )
    return ""


def operands(p: Gaussian, q: Gaussian, dtype: torch.dtype, device: torch.device) -> list[Gaussian]:
    """Both as tensors of this dtype and device, as a formula takes them."""
    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        # A Python number takes the other side's parameterisation while it is still exact.
        given = common_parameterisation(p.scale, q.scale)
        p, q = (
            g if isinstance(g.scale.value, Tensor) else replace(g, scale=g.scale.to(given))  # type: ignore[attr-defined]
            for g in (p, q)
        )
    return [g.cast(dtype, device) for g in (p, q)]
