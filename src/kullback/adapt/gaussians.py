"""Whatever stands for a Gaussian, as a :class:`~kullback.Gaussian`."""

from dataclasses import replace
from typing import Any

from torch import Tensor, distributions

from kullback.errors import NoClosedForm
from kullback.gaussian import Gaussian


def as_gaussian(x: Any, name: str) -> Gaussian:
    """``x`` itself, or the Gaussian that a ``torch.distributions`` object is.

    Raises:
        NoClosedForm: for a distribution of torch that is not among those understood.
        TypeError: for anything else.
    """
    if isinstance(x, Gaussian):
        return x
    if isinstance(x, distributions.Distribution):
        return _from_torch(x, name)
    hint = "Build one: Gaussian.from_std(mean, std), from_variance(...) or from_logvar(...)."
    if isinstance(x, Tensor) or hasattr(x, "__array__"):
        hint = f"Are these samples? From samples there is no exact divergence. If they are means: {hint}"
    raise TypeError(f"{name} must be a Gaussian or a torch.distributions Normal, got {type(x).__name__}. {hint}")


def _from_torch(x: distributions.Distribution, name: str) -> Gaussian:
    if isinstance(x, distributions.Normal):
        return Gaussian.from_std(x.loc, x.scale, event_dims=0)
    if isinstance(x, distributions.Independent):
        base = _from_torch(x.base_dist, name)
        return replace(base, event=base.event_dims + x.reinterpreted_batch_ndims)
    raise NoClosedForm(
        f"{name} is a torch.distributions {type(x).__name__}: no exact divergence is implemented for it. "
        "Normal and Independent(Normal) are, and any diagonal Gaussian: Gaussian.from_std(mean, std)."
    )
