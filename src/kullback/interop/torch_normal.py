"""``torch.distributions`` Normal and Independent."""

from collections.abc import Callable
from typing import Any

from torch import distributions

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.shared import with_more_event_dims


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
    return with_more_event_dims(base, x.reinterpreted_batch_ndims, name)
