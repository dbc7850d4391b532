"""Everything that the estimates by averaging share: what the caller asked for, the average itself, and the result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.divergences.api import check_shapes
from kullback.errors import ShapeError
from kullback.estimate.coordinates import Drawn, in_coordinates_of_base
from kullback.estimate.densities import Density, Foreign, describe, log_density
from kullback.estimate.monte_carlo import REPLICATES, Average, Integrand, average
from kullback.estimate.result import Estimate
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import common_array_kind, to_callers_type
from kullback.numerics.tensors import compute_dtype

# The number of points if the caller asks for nothing; and with a tolerance, at first and at most.
_DEFAULT_POINTS, _FIRST_POINTS, _MOST_POINTS = REPLICATES * 2**12, 1024, REPLICATES * 2**18

# An estimate of a divergence this many standard errors below 0 is not explained by sampling error.
IMPOSSIBLE = 5.0


@dataclass(frozen=True)
class Settings:
    """What the caller asked for.

    Raises:
        ValueError: for values that cannot be used.
    """

    tolerance: float | None
    n: int | None
    seed: int | None

    def __post_init__(self) -> None:
        for name in ("n", "seed"):
            value = getattr(self, name)
            if isinstance(value, np.integer):
                object.__setattr__(self, name, int(value))
            elif value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise ValueError(f"{name} is a whole number, got {value!r}.")
        if self.n is not None and self.n < 1:
            raise ValueError(f"n is a number of points, at least 1, got {self.n!r}.")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is a whole number from 0 up, below 2**63, got {self.seed!r}.")
        if self.tolerance is not None and not self.tolerance > 0:
            raise ValueError(f"tolerance is a standard error in nats, above 0, got {self.tolerance!r}.")


@dataclass(frozen=True, eq=False)
class MeanOfAverages:
    """The mean of independent averages."""

    averages: Sequence[Average]

    @property
    def n(self) -> int:
        """The number of points of all averages together."""
        return sum(x.n for x in self.averages)

    @property
    def quantile(self) -> float:
        """Half of the width of the 95 % interval in standard errors, for the fewest degrees of freedom among them."""
        return max(x.quantile for x in self.averages)

    def grow(self, n: int) -> None:
        """Use at least ``n`` points in all."""
        for x in self.averages:
            x.grow(-(-n // len(self.averages)))

    def value(self) -> Tensor:
        """The mean of the averages."""
        return torch.stack([x.value() for x in self.averages]).mean(0)

    def standard_error(self) -> Tensor:
        """The standard error of the mean."""
        errors = torch.stack([x.standard_error() for x in self.averages])
        return errors.square().sum(0).sqrt() / len(self.averages)


def mean_of_averages(
    expectations: Sequence[tuple[Density, Integrand]], settings: Settings, batch_dims: int
) -> MeanOfAverages:
    """The mean of expectations, each of a function under a density, to the accuracy that the caller asked for."""
    # Seeds that differ, so that the averages are independent.
    seeds = [None if settings.seed is None else settings.seed + i * 2**32 for i in range(len(expectations))]
    averages = [
        average(p, integrand, seed, batch_dims) for (p, integrand), seed in zip(expectations, seeds, strict=True)
    ]
    mean = MeanOfAverages(averages)
    if settings.tolerance is None:
        mean.grow(settings.n or _DEFAULT_POINTS)
        return mean
    most = settings.n or _MOST_POINTS
    n = min(_FIRST_POINTS, most)
    while True:
        mean.grow(n)
        if bool((mean.standard_error() <= settings.tolerance).all()) or mean.n >= most:
            return mean
        n = min(2 * mean.n, most)


def batch_dims(*densities: Density) -> int:
    """The number of dimensions of the broadcast batch shape of densities."""
    return max(len(density.batch_shape) for density in densities)


def log_density_at_draws(p: Density, x: Tensor, log_component: Tensor) -> Tensor:
    """The log-density of p at points that were drawn from p.

    Args:
        p: the density.
        x: the points.
        log_component: the log-densities there of the Gaussians that the points were drawn from; for a Gaussian p, the
            result.

    Raises:
        ValueError: if it is NaN, or if parameters of p require gradients that the points do not carry.
    """
    if isinstance(p, Gaussian):
        if bool(log_component.isnan().any()):
            raise ValueError(f"the log-density of {describe(p)} is NaN at some points: is a parameter NaN, or 0?")
        return log_component
    value = log_density(p, x)
    if torch.is_grad_enabled() and value.requires_grad and isinstance(p, Foreign) and not x.requires_grad:
        raise ValueError(
            f"{p.name} requires gradients, but its points cannot follow its parameters (no rsample): the gradient of "
            "this estimate would be wrong. Call it under torch.no_grad(), or detach the parameters."
        )
    return value


def of_log_densities(p: Density, q: Density, function: Callable[[Tensor, Tensor], Tensor]) -> Integrand:
    """The integrand ``function(log p(x), log q(x))`` for points x of p."""

    def integrand(x: Tensor, log_component: Tensor) -> Tensor:
        log_p = log_density_at_draws(p, x, log_component)
        return function(log_p, log_density_as_of(q, x, log_p))

    return integrand


def log_density_as_of(q: Density, x: Tensor, log_p: Tensor) -> Tensor:
    """The log-density of q at points of p, where that of p is ``log_p``.

    Raises:
        ShapeError: unless both are one number for each point.
    """
    log_q = log_density(q, x)
    if log_p.ndim != log_q.ndim or not (_has_points_of(log_p, x) and _has_points_of(log_q, x)):
        raise ShapeError(
            f"the log-density of q has shape {tuple(log_q.shape)} at points of shape {tuple(x.shape)}, that of p "
            f"{tuple(log_p.shape)}: expected one number for each point. Are the coordinates summed over?"
        )
    return log_q


def _has_points_of(log_density: Tensor, x: Tensor) -> bool:
    """Whether the leading dimensions are those of the points; those of size 1 may be expanded by a batch."""
    return all(of_x in (1, n) for n, of_x in zip(log_density.shape, x.shape, strict=False))


def as_drawn(p: Any, q: Any, names: tuple[str, str] = ("p", "q")) -> Drawn:
    """Both arguments as densities, in coordinates in which the first is drawn from.

    Raises:
        TypeError: if one has no density.
        ShapeError: if the events differ or the batches do not broadcast, where the shapes are known beforehand.
    """
    drawn = in_coordinates_of_base(p, q, names)
    if not isinstance(drawn.p, Foreign) and not isinstance(drawn.q, Foreign):
        check_shapes(drawn.p, drawn.q)
    return drawn


def to_estimate(
    mean: MeanOfAverages,
    densities: Sequence[Density],
    settings: Settings,
    method: str,
    warnings: Sequence[str | None] = (),
    *,
    never_negative: bool = True,
) -> Estimate:
    """The result for the caller, in the dtype and the kind of array of the densities.

    Args:
        mean: the average.
        densities: all densities that the caller passed.
        settings: what the caller asked for.
        method: the name of the method.
        warnings: sentences; None is left out.
        never_negative: whether the quantity is never negative, so that a negative estimate deserves a warning.
    """
    known = [x for x in densities if not isinstance(x, Foreign)]
    tensors = [x for density in known for x in density.tensors()]
    dtype = compute_dtype(tensors) if tensors else torch.get_default_dtype()
    value, error = mean.value(), mean.standard_error()
    # An infinite average is certain: one infinite value suffices.
    error = torch.where(torch.isinf(value.detach()), 0.0, error)
    sentences = [x for x in warnings if x is not None]
    if bool(torch.isinf(value.detach()).any()):
        sentences.append("q is 0 at points drawn from p, where the divergence is infinite")
    if settings.tolerance is not None and not bool((error <= settings.tolerance).all()):
        worst, limit = float(error.max()), settings.tolerance
        sentences.append(f"the standard error is {worst:.3g} after {mean.n} points, above the tolerance {limit:g}")
    if never_negative and bool((value.detach() < -IMPOSSIBLE * error).any()):
        sentences.append(
            f"the estimate is below 0 by more than {IMPOSSIBLE:g} standard errors: is a density not normalized?"
        )
    half = mean.quantile * error
    kind = common_array_kind(density.array_kind for density in densities)
    low, high, value, error = (
        to_callers_type(x.to(dtype), kind) for x in (value.detach() - half, value.detach() + half, value, error)
    )
    return Estimate(value, error, (low, high), (low, high), mean.n, method, tuple(sentences))
