"""What has a density and can be drawn from: Gaussians, mixtures, torch's distributions, objects with two methods."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributions

from kullback.adapt import mixtures
from kullback.adapt.gaussians import as_gaussian
from kullback.errors import NoClosedForm
from kullback.gaussian import Gaussian
from kullback.mixture import Mixture


@dataclass(frozen=True, eq=False)
class Foreign:
    """A distribution of torch, or an object with ``log_prob(x)`` and ``sample(n)``."""

    given: Any
    name: str

    @property
    def batch_shape(self) -> torch.Size:
        """Of a torch distribution; other objects are single."""
        return self.given.batch_shape if isinstance(self.given, distributions.Distribution) else torch.Size()

    def draw(self, n: int) -> Tensor:
        """``n`` points; gradients flow through them where the distribution can move them."""
        if not isinstance(self.given, distributions.Distribution):
            return torch.as_tensor(self.given.sample(n))
        if self.given.has_rsample and torch.is_grad_enabled():
            return self.given.rsample((n,))
        return self.given.sample((n,))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at points."""
        return torch.as_tensor(self.given.log_prob(x))


Density = Gaussian | Mixture | Foreign


def as_density(x: Any, name: str) -> Density:
    """Whatever has a density.

    Raises:
        TypeError: for what has none, samples among them.
    """
    mixture = mixtures.read(x, name)
    if mixture is not None:
        return mixture
    try:
        return as_gaussian(x, name)
    except (NoClosedForm, TypeError):
        if callable(getattr(x, "log_prob", None)) and callable(getattr(x, "sample", None)):
            return Foreign(x, name)
    samples = " Are these samples? This takes densities." if hasattr(x, "__array__") else ""
    raise TypeError(
        f"{name} must be a Gaussian, a Mixture, a torch distribution, or an object with log_prob(x) and sample(n), got "
        f"{type(x).__name__}.{samples}"
    )
