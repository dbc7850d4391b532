"""Densities of images of others under changes of variables, such as squashed policies, from the points under them.

A divergence of p from q is the same in the coordinates of which p is the image. There p is its base, whose points are
at hand as they were drawn: nothing has to be inverted, and the points of a Gaussian come from a Sobol sequence. Only q
has to be asked for its density at the images, in float64.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import SigmoidTransform, Transform

from kullback.numerics.tensors import sum_event


class Pushed(NamedTuple):
    """Images of points."""

    y: Tensor
    log_volume: Tensor
    """The logarithm of the volume that the maps make of one, of the shape of the batch."""
    inside: Tensor
    """Whether every map is defined at the point."""


def push(x: Tensor, chain: list[Transform], event_dims: int) -> Pushed:
    """The images of points ``(..., *event)`` under one map after another."""
    y, log_volume = x.double(), x.new_zeros((), dtype=torch.float64)
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for t in chain:
        inside = inside & _all_inside(t.domain, y, event_dims)
        x, y = y, _forward(t, y)
        log_volume = log_volume + sum_event(t.log_abs_det_jacobian(x, y), event_dims - t.domain.event_dim)
        event_dims += t.codomain.event_dim - t.domain.event_dim
    return Pushed(y, log_volume, inside)


def log_prob_of_image(
    y: Tensor, chain: list[Transform], event_dims: int, log_base: Callable[[Tensor], Tensor], name: str
) -> Tensor:
    """The log-density of the image of a density at points; -∞ where no point is mapped to.

    Args:
        y: the points.
        chain: the maps.
        event_dims: the number of event dimensions of what is mapped.
        log_base: its log-density.
        name: what an error calls the image.

    Raises:
        ValueError: for points that were rounded to where a map is infinite.
    """
    y, log_volume = y.double(), y.new_zeros((), dtype=torch.float64)
    event_dims += sum(t.codomain.event_dim - t.domain.event_dim for t in chain)
    inside = torch.ones((), dtype=torch.bool, device=y.device)
    for t in reversed(chain):
        inside = inside & _all_inside(t.codomain, y, event_dims)
        x = _backward(t, y)
        rounded = _is_rounded(t, x, y)
        if bool(rounded.any()):
            raise ValueError(
                f"{int(rounded.sum())} coordinates of points lie on a bound of {name}, to which its "
                f"{type(t).__name__} rounds: the log-density is not determined there. Pass the points as they were "
                "before that transform, and densities without it; or densities instead of samples."
            )
        event_dims += t.domain.event_dim - t.codomain.event_dim
        log_volume = log_volume + sum_event(t.log_abs_det_jacobian(x, y), event_dims - t.domain.event_dim)
        y = x
    return torch.where(inside, log_base(y) - log_volume, -torch.inf)


def _all_inside(constraint: Any, x: Tensor, event_dims: int) -> Tensor:
    """Whether all coordinates satisfy a constraint; points that are NaN are not said to violate it."""
    satisfied: Tensor = constraint.check(x)
    violated = (~satisfied).any(tuple(range(-n, 0))) if (n := event_dims - constraint.event_dim) else ~satisfied
    return ~violated | (x.isnan().any(tuple(range(-event_dims, 0))) if event_dims else x.isnan())


def _is_rounded(t: Transform, x: Tensor, y: Tensor) -> Tensor:
    """Which points y of the codomain of a map have no finite x; points outside of it are not rounded to its bound."""
    infinite, finite = x.isinf(), y.isfinite()
    if t.domain.event_dim:
        infinite = infinite.any(tuple(range(-t.domain.event_dim, 0)))
    if t.codomain.event_dim:
        finite = finite.all(tuple(range(-t.codomain.event_dim, 0)))
    satisfied: Tensor = t.codomain.check(y)
    return infinite & finite & satisfied


def _forward(t: Transform, x: Tensor) -> Tensor:
    # That of torch clips.
    return torch.sigmoid(x) if type(t) is SigmoidTransform else t(x)


def _backward(t: Transform, y: Tensor) -> Tensor:
    return y.logit() if type(t) is SigmoidTransform else t.inv(y)
