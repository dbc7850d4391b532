"""What has a density and can be drawn from: Gaussians, mixtures, torch's distributions, objects with two methods."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributions

from kullback.errors import NoClosedForm, ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.registry import convert


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
        """The log-density at points; of a torch distribution -∞ outside its support, whether it validates or not."""
        if not isinstance(self.given, distributions.Distribution):
            return torch.as_tensor(self.given.log_prob(x))
        try:
            support = self.given.support
        except NotImplementedError:  # it does not say where it is
            support = None
        inside = torch.ones(()) if support is None else support.check(x)
        if bool(inside.all()):
            return self.given.log_prob(x)
        shape = inside.shape + (1,) * len(self.given.event_shape)
        with torch.no_grad():
            within = torch.where(inside.reshape(shape), x, self.given.sample().to(x.dtype))
        return torch.where(inside, self.given.log_prob(within), -torch.inf)


Density = Gaussian | Mixture | Foreign


def as_density(x: Any, name: str) -> Density:
    """Whatever has a density.

    Raises:
        TypeError: for what has none, samples among them.
    """
    try:
        converted = convert(x, name)
    except NoClosedForm:  # Gaussians, but not one
        converted = None
    if converted is not None:
        return converted
    if callable(getattr(x, "log_prob", None)) and callable(getattr(x, "sample", None)):
        return Foreign(x, name)
    samples = " Are these samples? This takes densities." if hasattr(x, "__array__") else ""
    raise TypeError(
        f"{name} must be a Gaussian, a Mixture, a torch distribution, or an object with log_prob(x) and sample(n), got "
        f"{type(x).__name__}.{samples}"
    )


def described(density: Density) -> str:
    """What to call it in a message."""
    return density.name if isinstance(density, Foreign) else repr(density)


def log_density(density: Density, x: Tensor) -> Tensor:
    """At points, in float64.

    Raises:
        ValueError: if it is NaN or +∞ somewhere.
    """
    value = torch.as_tensor(density.log_prob(x)).double()
    if bool((value.isnan() | (value == torch.inf)).any()):
        what = "NaN" if bool(value.isnan().any()) else "infinite"
        raise ValueError(f"the log-density of {described(density)} is {what} at some points: is a parameter NaN, or 0?")
    return value


def event_of(density: Density, name: str) -> torch.Size | None:
    """The shape of one point of a single density; None where it does not say.

    Raises:
        ShapeError: for a batch.
    """
    if density.batch_shape:
        raise ShapeError(
            f"{name} is a batch {tuple(density.batch_shape)} of densities: samples are of one. Call it for each, or "
            "say which dimensions are coordinates: event_dims, or Independent for torch's."
        )
    if isinstance(density, Foreign):
        return getattr(density.given, "event_shape", None)
    return density.event_shape


def drawn(density: Density, n: int, seed: int | None) -> Tensor:
    """``n`` points, the same for the same seed, without gradients."""
    with torch.random.fork_rng(enabled=seed is not None), torch.no_grad():
        if seed is not None:
            torch.manual_seed(seed)
        return density.draw(n) if isinstance(density, Foreign) else torch.as_tensor(density.sample(n))
