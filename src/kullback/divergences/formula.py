"""What stands between a public name and its formula: the same for every divergence."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kullback.adapt.arrays import as_given
from kullback.adapt.gaussians import as_gaussian
from kullback.common import common_device, common_dtype, common_kind, no_autocast
from kullback.errors import ShapeError
from kullback.gaussian import Gaussian
from kullback.relative import common_parameterisation


def divergence(formula: Callable[[Gaussian, Gaussian], Tensor]) -> Callable[[Any, Any], Any]:
    """Makes a public function of a formula.

    The formula gets two Gaussians of tensors, of one event shape, dtype and device, outside autocast; the caller may
    pass anything that stands for a Gaussian, and gets NumPy back for NumPy.
    """

    @functools.wraps(formula)
    def public(p: Any, q: Any, *more: Any) -> Any:
        if more:
            raise TypeError(
                f"{formula.__name__} takes two Gaussians, got {2 + len(more)} arguments. Build them first: "
                "Gaussian.from_std(mean, std), from_variance(...) or from_logvar(...)."
            )
        p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
        check_shapes(p, q)
        dtype, device = common_dtype([p, q]), common_device([p, q])
        given = common_parameterisation(p.scale, q.scale)
        with no_autocast(device):
            result = formula(_operand(p, given, dtype, device), _operand(q, given, dtype, device))
        return as_given(result, numpy=common_kind([p, q]) is True)

    return public


def check_shapes(p: Gaussian, q: Gaussian) -> None:
    """Two Gaussians that can be compared: equal events, batches that broadcast."""
    if p.event_shape != q.event_shape:
        raise ShapeError(
            f"p has event shape {tuple(p.event_shape)}, q has {tuple(q.event_shape)}  {_means(p, q)}."
            f"{_event_hint(p, q)}"
        )
    if p.batch_shape != q.batch_shape:
        try:
            torch.broadcast_shapes(p.batch_shape, q.batch_shape)
        except RuntimeError:
            raise ShapeError(
                f"batches do not broadcast: p has batch shape {tuple(p.batch_shape)}, q has {tuple(q.batch_shape)}  "
                f"{_means(p, q)}."
            ) from None


def _means(p: Gaussian, q: Gaussian) -> str:
    return f"(p.mean {tuple(p.mean.shape)}, q.mean {tuple(q.mean.shape)})"


def _event_hint(p: Gaussian, q: Gaussian) -> str:
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


def _operand(p: Gaussian, given: Any, dtype: torch.dtype, device: torch.device) -> Gaussian:
    # A Python number takes the other side's parameterisation while it is still exact.
    if not isinstance(p.scale.value, Tensor):
        p = Gaussian(p.location, p.scale.to(given), p.event, p.numpy)
    return p.cast(dtype, device)
