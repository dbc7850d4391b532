"""What every estimate by averaging does around its integrand: how many points, which errors, what it says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.divergences.api import check_shapes
from kullback.estimate.densities import Density, Foreign, as_density, described, log_density
from kullback.estimate.result import Estimate
from kullback.estimate.samplers import REPLICATES, Average, Integrand, average
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import ArrayKind, common_array_kind, to_callers_type
from kullback.numerics.tensors import compute_dtype

# Points where nothing is asked for, to begin with under a tolerance, and at most under one.
_DEFAULT, _FIRST, _MOST = REPLICATES * 2**12, 1024, REPLICATES * 2**18

# So many standard errors below 0 no divergence is estimated by chance.
IMPOSSIBLE = 5.0


@dataclass(frozen=True)
class Settings:
    """What the caller asked for."""

    tolerance: float | None
    n: int | None
    seed: int | None

    def __post_init__(self) -> None:
        for name in ("n", "seed"):
            given = getattr(self, name)
            if isinstance(given, np.integer):
                object.__setattr__(self, name, int(given))
            elif given is not None and (isinstance(given, bool) or not isinstance(given, int)):
                raise ValueError(f"{name} is a whole number, got {given!r}.")
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is a number of points, at least 1, got {self.n!r}.")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is from 0 up, below 2**63, got {self.seed!r}.")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance is a standard error in nats, above 0, got {self.tolerance!r}.")


@dataclass(frozen=True, eq=False)
class Mean:
    """The mean of averages that are independent of each other."""

    averages: Sequence[Average]

    @property
    def n(self) -> int:
        """Points of all together."""
        return sum(x.n for x in self.averages)

    @property
    def quantile(self) -> float:
        """How many standard errors an interval reaches: those of the one with the fewest degrees of freedom."""
        return max(x.quantile for x in self.averages)

    def grow(self, n: int) -> None:
        """Take at least ``n`` points in all."""
        for x in self.averages:
            x.grow(-(-n // len(self.averages)))

    def value(self) -> Tensor:
        """The mean of the averages."""
        return torch.stack([x.value() for x in self.averages]).mean(0)

    def standard_error(self) -> Tensor:
        """Its standard error."""
        errors = torch.stack([x.standard_error() for x in self.averages])
        return errors.square().sum(0).sqrt() / len(self.averages)


def averages(sides: Sequence[tuple[Density, Integrand]], settings: Settings, batch_dims: int) -> Mean:
    """The mean over sides of the average over a density of a function, to what was asked for."""
    # Another seed for each side, so that they are independent.
    seeds = [None if settings.seed is None else settings.seed + i * 2**32 for i in range(len(sides))]
    mean = Mean([average(p, integrand, seed, batch_dims) for (p, integrand), seed in zip(sides, seeds, strict=True)])
    if settings.tolerance is None:
        mean.grow(settings.n or _DEFAULT)
        return mean
    most = settings.n or _MOST
    n = min(_FIRST, most)
    while True:
        mean.grow(n)
        if bool((mean.standard_error() <= settings.tolerance).all()) or mean.n >= most:
            return mean
        n = min(2 * mean.n, most)


def batch_dims(*densities: Density) -> int:
    """How many batch dimensions densities have together."""
    return max(len(density.batch_shape) for density in densities)


def at_own_points(p: Density, x: Tensor, own: Tensor) -> Tensor:
    """The log-density of p at points that were drawn of it, from Gaussians with these log-densities there.

    Raises:
        ValueError: if it is NaN, or its parameters require gradients that points which cannot be moved would not carry.
    """
    if isinstance(p, Gaussian):
        if bool(own.isnan().any()):
            raise ValueError(f"the log-density of {described(p)} is NaN at some points: is a parameter NaN, or 0?")
        return own
    value = log_density(p, x)
    if torch.is_grad_enabled() and value.requires_grad and isinstance(p, Foreign) and not x.requires_grad:
        raise ValueError(
            f"{p.name} requires gradients and cannot move its points with its parameters (no rsample): the gradient of "
            "this estimate would be wrong. Call it under torch.no_grad(), or detach its parameters."
        )
    return value


def of_both(p: Density, q: Density, term: Callable[[Tensor, Tensor], Tensor]) -> Integrand:
    """At points of p, a function of the log-densities of p and of q."""
    return lambda x, own: term(at_own_points(p, x, own), log_density(q, x))


def pair(p: Any, q: Any) -> tuple[Density, Density]:
    """Both as densities, of shapes that fit where these are known beforehand."""
    p, q = as_density(p, "p"), as_density(q, "q")
    if not isinstance(p, Foreign) and not isinstance(q, Foreign):
        check_shapes(p, q)
    return p, q


def estimate(
    mean: Mean,
    densities: Sequence[Density],
    settings: Settings,
    method: str,
    warnings: Sequence[Any] = (),
    *,
    never_negative: bool = True,
) -> Estimate:
    """In the dtype and the kind of array of the densities; ``warnings`` that are None are left out."""
    known = [x for x in densities if not isinstance(x, Foreign)]
    tensors = [x for density in known for x in density.tensors()]
    dtype = compute_dtype(tensors) if tensors else torch.get_default_dtype()
    value, error = mean.value(), mean.standard_error()
    # Of an infinite average there is no spread, and no doubt.
    error = torch.where(torch.isinf(value.detach()), 0.0, error)
    said = [x for x in warnings if x is not None]
    if bool(torch.isinf(value.detach()).any()):
        said.append("q is 0 at points drawn from p, where the divergence is infinite")
    if settings.tolerance is not None and not bool((error <= settings.tolerance).all()):
        worst, limit = float(error.max()), settings.tolerance
        said.append(f"the standard error is {worst:.3g} after {mean.n} points, above the tolerance {limit:g}")
    if never_negative and bool((value.detach() < -IMPOSSIBLE * error).any()):
        said.append(
            f"the estimate is below 0 by more than {IMPOSSIBLE:g} standard errors: is a density not normalized?"
        )
    reach = mean.quantile * error
    foreign = ArrayKind.TORCH if len(known) < len(densities) else ArrayKind.ANY
    kind = common_array_kind([foreign, *(density.array_kind for density in known)])
    low, high, value, error = (
        to_callers_type(x.to(dtype), kind) for x in (value.detach() - reach, value.detach() + reach, value, error)
    )
    return Estimate(value, error, (low, high), (low, high), mean.n, method, tuple(said))
