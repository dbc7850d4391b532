"""``torch.distributions`` Normal and Independent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import distributions

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """A Normal is a batch of one-dimensional Gaussians; Independent makes its last dimensions an event."""
    if isinstance(x, distributions.Normal):
        return Gaussian.from_std(x.loc, x.scale, event_dims=0)
    if not isinstance(x, distributions.Independent):
        return None
    base = convert(x.base_dist, name)
    if not isinstance(base, Gaussian):
        return None
    if x.reinterpreted_batch_ndims and not isinstance(x.base_dist, distributions.Normal | distributions.Independent):
        raise NoClosedForm(
            f"{name} is {x.reinterpreted_batch_ndims} dimensions of independent {type(x.base_dist).__name__}s. Their "
            "divergences add up: sum those of the base distributions over these dimensions."
        )
    return replace(base, event_dims=base.event_dims + x.reinterpreted_batch_ndims)
