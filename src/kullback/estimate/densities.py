"""Densities that can be evaluated and drawn from: Gaussians, mixtures, torch distributions, other objects."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributions

from kullback.errors import NoClosedForm, ShapeError
from kullback.estimate.adapted import Adapted
from kullback.estimate.draws import draw_points, log_densities
from kullback.estimate.images import log_prob_of_image
from kullback.estimate.independent_mixtures import from_torch
from kullback.estimate.jax_densities import from_jax
from kullback.estimate.scipy_densities import from_scipy
from kullback.estimate.sklearn_densities import from_sklearn
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.changes import is_folded, split
from kullback.interop.registry import convert
from kullback.numerics.arrays import ArrayKind, from_callers_type
from kullback.numerics.foreign_arrays import is_array


@dataclass(frozen=True, eq=False)
class Foreign:
    """A density that is no Gaussian or mixture: a torch distribution, or an object with ``log_prob`` and ``sample``."""

    distribution: Any
    name: str  # of the argument, for messages

    @property
    def batch_shape(self) -> torch.Size:
        """The batch shape of a torch distribution; other objects are single densities."""
        return (
            self.distribution.batch_shape if isinstance(self.distribution, distributions.Distribution) else torch.Size()
        )

    @property
    def array_kind(self) -> ArrayKind:
        """What an adapted density says; other objects are asked with tensors."""
        return self.distribution.array_kind if isinstance(self.distribution, Adapted) else ArrayKind.TORCH

    @property
    def event_shape(self) -> torch.Size | None:
        """What the distribution declares; an object need not."""
        declared = getattr(self.distribution, "event_shape", None)
        return torch.Size(declared) if isinstance(declared, tuple | list) else None

    def draw(self, n: int) -> Tensor:
        """``n`` points; if the distribution has ``rsample`` they are reparameterized, so that gradients flow."""
        if not isinstance(self.distribution, distributions.Distribution):
            return draw_points(self.distribution, n, self.name)
        if self.distribution.has_rsample and torch.is_grad_enabled():
            return self.distribution.rsample((n,))
        return self.distribution.sample((n,))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at points; -∞ outside the support of a torch distribution, whatever its ``validate_args``."""
        if isinstance(self.distribution, Adapted):
            return from_callers_type(self.distribution.log_prob(x))
        if not isinstance(self.distribution, distributions.Distribution):
            return log_densities(self.distribution, x, self.name)
        parts = split(self.distribution)
        if parts is not None:
            base, chain = parts
            density = as_density(base, self.name, drawn=False)
            return log_prob_of_image(x, chain, len(base.event_shape), density.log_prob, self.name)
        try:
            support = self.distribution.support
        except NotImplementedError:  # the distribution does not declare its support
            support = None
        inside = torch.ones(()) if support is None else support.check(x)
        if bool(inside.all()):
            return self.distribution.log_prob(x)
        shape = inside.shape + (1,) * len(self.distribution.event_shape)
        with torch.no_grad():
            within = torch.where(inside.reshape(shape), x, self.distribution.sample().to(x.dtype))
        return torch.where(inside, self.distribution.log_prob(within), -torch.inf)


Density = Gaussian | Mixture | Foreign


def as_density(x: Any, name: str, *, drawn: bool = True) -> Density:
    """``x`` as a density; one that is not drawn from needs no ``sample``.

    Raises:
        TypeError: if it has none; samples have none.
    """
    try:
        converted = convert(x, name)
    except NoClosedForm:  # a distribution of torch that is made of Gaussians but is none
        converted = None
    if converted is not None:
        return converted
    if is_folded(x):
        raise NoClosedForm(
            f"{name} is an image by transforms of which not all are known to be one-to-one on what they are applied "
            "to: torch's log_prob is not its density. Write that as an object with log_prob(x) and sample(n)."
        )
    for adapted in (from_torch, from_scipy, from_sklearn, from_jax):
        x = adapted(x, name)
    if callable(getattr(x, "log_prob", None)) and (not drawn or callable(getattr(x, "sample", None))):
        return Foreign(x, name)
    methods = "log_prob(x) and sample(n)" if drawn else "log_prob(x)"
    hint = ""
    if is_array(x):
        hint = " Are these samples? kl_estimate(p, q) takes them, one a row."
    elif callable(getattr(x, "log_prob", None)):
        hint = f" It has no sample(n), and points of {name} are drawn."
    raise TypeError(
        f"{name} must be a Gaussian, a Mixture, a distribution of torch or scipy, or an object with {methods}, got "
        f"{type(x).__name__}.{hint}"
    )


def describe(density: Density) -> str:
    """The name of a density in a message."""
    return density.name if isinstance(density, Foreign) else repr(density)


def log_density(density: Density, x: Tensor) -> Tensor:
    """The log-density at points, in float64.

    Raises:
        ValueError: if it is NaN or +∞ at some point.
    """
    value = from_callers_type(density.log_prob(x)).double()
    if bool((value.isnan() | (value == torch.inf)).any()):
        what = "NaN" if bool(value.isnan().any()) else "infinite"
        raise ValueError(f"the log-density of {describe(density)} is {what} at some points: is a parameter NaN, or 0?")
    return value


def event_shape_of(density: Density, name: str) -> torch.Size | None:
    """The event shape of a single density; None if it does not declare one.

    Raises:
        ShapeError: for a batch.
    """
    if density.batch_shape:
        raise ShapeError(
            f"{name} is a batch {tuple(density.batch_shape)} of densities, but samples belong to one. Call for each of "
            "them, or declare the dimensions that are coordinates: by event_dims, or by Independent in torch."
        )
    return density.event_shape


def draw(density: Density, n: int, seed: int | None) -> Tensor:
    """``n`` points without gradients, the same for the same seed."""
    with torch.random.fork_rng(enabled=seed is not None), torch.no_grad():
        if seed is not None:
            torch.manual_seed(seed)
        return density.draw(n) if isinstance(density, Foreign) else from_callers_type(density.sample(n))
