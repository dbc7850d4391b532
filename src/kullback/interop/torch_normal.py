"""``torch.distributions`` Normal and Independent."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import distributions

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """A Normal is a batch of one-dimensional Gaussians; Independent makes its last dimensions an event."""
    independent = isinstance(x, distributions.Independent)
    normal, event_dims = (x.base_dist, x.reinterpreted_batch_ndims) if independent else (x, 0)
    if isinstance(normal, distributions.Normal):
        # What torch has looked at, or was told not to look at, is not looked at again.
        return Gaussian.from_std(normal.loc, normal.scale, event_dims=event_dims, validate=False)
    if not independent:
        return None
    base = convert(x.base_dist, name)
    if not isinstance(base, Gaussian):
        return None
    if x.reinterpreted_batch_ndims and not isinstance(x.base_dist, distributions.Independent):
        raise NoClosedForm(
            f"{name} is {x.reinterpreted_batch_ndims} dimensions of independent {type(x.base_dist).__name__}s. Their "
            "divergences add up: kl_divergence(p.base_dist, q.base_dist), and the sum over these dimensions of it."
        )
    return replace(base, event_dims=base.event_dims + x.reinterpreted_batch_ndims)
