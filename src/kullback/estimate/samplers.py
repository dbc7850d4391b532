r"""Averages :math:`\mathrm E_p f` of functions over points drawn from a density, with their standard errors.

Points of Gaussians and mixtures come from randomized quasi-Monte Carlo: 16 independent scramblings of a Sobol sequence,
whose averages are independent and unbiased, so that their spread gives an unbiased standard error. A mixture has a
sequence for each component, and the averages are weighted: this stratification removes the variance that a random
choice of components would add. If there are too many components for that, one more coordinate of the sequence chooses
the component. Points of other densities are independent draws.

One file of some 300 lines, since the two kinds of average and the three samplers of points are read together.

Reference:
    A. B. Owen, Scrambled net variance for integrals of smooth functions, Annals of Statistics 25, 1997.
"""

import abc
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from kullback.estimate.densities import Density, Foreign
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal

REPLICATES = 16

# The 97.5 % quantiles of Student's t with 15 degrees of freedom, and of the normal distribution.
T_QUANTILE, NORMAL_QUANTILE = 2.131449545559323, 1.959963984540054

# The fewest points of a component in each replicate for which it has a sequence of its own.
_FEWEST_POINTS_OF_A_COMPONENT = 16

# Coordinates of points that are computed at once, and independent points that are drawn at once.
_POINT_ELEMENTS, _DRAWS_AT_ONCE = 2**21, REPLICATES * 2**12

# A function of points and of the log-densities there of the Gaussians that they were drawn from: of p, or of a
# component of the mixture p. The log-densities are NaN if p is another density.
Integrand = Callable[[Tensor, Tensor], Tensor]


def average(p: Density, integrand: Integrand, seed: int | None, batch_dims: int) -> "Average":
    """The average of a function over a density; the values of the function have ``batch_dims`` batch dimensions."""
    method = MonteCarlo if isinstance(p, Foreign) else RandomizedQMC
    return method(p, integrand, seed, batch_dims)


def _next_power_of_two(n: int) -> int:
    """The smallest power of two that is at least n."""
    return 1 << (n - 1).bit_length()


class Average(abc.ABC):
    """An average over a number of points that can grow."""

    quantile: float
    """Half of the width of the 95 % interval in standard errors."""

    def __init__(self, p: Any, integrand: Integrand, seed: int | None, batch_dims: int) -> None:
        self.p, self.integrand, self.seed = p, integrand, seed
        self.missing_batch_dims = batch_dims - len(p.batch_shape)
        self.n = 0

    @abc.abstractmethod
    def grow(self, n: int) -> None:
        """Use at least ``n`` points in all, rounded up to 16 × 2^k, or to that in each sequence."""

    @abc.abstractmethod
    def value(self) -> Tensor:
        """The average."""

    @abc.abstractmethod
    def standard_error(self) -> Tensor:
        """The standard error of the average."""

    def insert_batch_dims(self, x: Tensor, position: int) -> Tensor:
        """``x`` with dimensions of size 1 at ``position``, for the batch dimensions that p does not have."""
        return x.reshape(*x.shape[:position], *[1] * self.missing_batch_dims, *x.shape[position:])


class MonteCarlo(Average):
    """An average over independent draws."""

    quantile = NORMAL_QUANTILE
    origin: Tensor | None = None  # subtracted from the values, so that the variance does not cancel
    sum: Tensor
    sum_of_squares: Tensor

    def grow(self, n: int) -> None:
        """Draw further points, some at once, and add to the sums of the values and of their squares."""
        n = REPLICATES * _next_power_of_two(-(-n // REPLICATES))
        with torch.random.fork_rng(enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(self.seed + self.n)
            for start in range(self.n, n, _DRAWS_AT_ONCE):
                x = self.insert_batch_dims(self.p.draw(min(_DRAWS_AT_ONCE, n - start)), 1)
                self._add(self.integrand(x, torch.tensor(math.nan, dtype=torch.float64)).double())
        self.n = n

    def _add(self, values: Tensor) -> None:
        if self.origin is None:
            self.origin = values.detach().mean(0).nan_to_num(posinf=0.0, neginf=0.0)
            self.sum = self.sum_of_squares = torch.zeros_like(self.origin)
        centred = values - self.origin
        self.sum = self.sum + centred.sum(0)
        self.sum_of_squares = self.sum_of_squares + centred.detach().square().sum(0)

    def value(self) -> Tensor:
        """The average."""
        assert self.origin is not None
        return self.origin + self.sum / self.n

    def standard_error(self) -> Tensor:
        """The standard error, from the variance of all values."""
        variance = self.sum_of_squares / self.n - (self.sum.detach() / self.n).square()
        return (variance.clamp(min=0.0) / (self.n - 1)).sqrt()


class RandomizedQMC(Average):
    """An average over independently scrambled sequences, the replicates."""

    quantile = T_QUANTILE
    sampler: "Sampler"
    sequences: list[list["_SobolSequence"]]  # of each replicate
    points_per_sequence: int
    sums: list[Tensor]  # of each replicate

    def grow(self, n: int) -> None:
        """Continue every sequence."""
        if not self.n:
            self._start(_next_power_of_two(-(-n // REPLICATES)))
        n_sequences, p = self.sampler.n_sequences, self.p
        points = _next_power_of_two(-(-n // (REPLICATES * n_sequences)))
        step = max(1, _POINT_ELEMENTS // max(1, n_sequences * p.batch_shape.numel() * max(p.event_size, 1)))
        for r, sequences in enumerate(self.sequences):
            for start in range(self.points_per_sequence, points, step):
                sampled = self.sampler.points(sequences, min(step, points - start))
                self.sums[r] = self.sums[r] + self._sum(sampled)
        self.points_per_sequence, self.n = points, REPLICATES * n_sequences * points

    def _start(self, points_per_replicate: int) -> None:
        self.sampler = sampler = _sampler(self.p, points_per_replicate)
        n = REPLICATES * sampler.n_sequences
        seeds = np.random.SeedSequence(self.seed).generate_state(n).reshape(REPLICATES, sampler.n_sequences)
        self.sequences = [[_SobolSequence(sampler.dim, int(seed)) for seed in row] for row in seeds]
        self.points_per_sequence = 0
        self.sums = [torch.zeros((), dtype=torch.float64, device=self.p.device)] * REPLICATES

    def _sum(self, sampled: "Points") -> Tensor:
        position = 1 if sampled.weights is None else 2
        values = self.integrand(
            self.insert_batch_dims(sampled.x, position), self.insert_batch_dims(sampled.log_density, position)
        )
        if sampled.weights is None:
            return values.sum(0)
        weights = self.insert_batch_dims(sampled.weights, 1)
        # A component of weight 0 contributes 0, even where the value is infinite or NaN.
        return torch.where(weights > 0, weights * values, 0.0).sum(1).sum(0)

    def value(self) -> Tensor:
        """The average."""
        return torch.stack(self.sums).mean(0) / self.points_per_sequence

    def standard_error(self) -> Tensor:
        """The standard error, from the spread of the replicates."""
        return torch.stack(self.sums).detach().std(0) / (self.points_per_sequence * math.sqrt(REPLICATES))


class Points(NamedTuple):
    """Points of a Gaussian or a mixture."""

    x: Tensor
    """The points, ``(n, *batch, *event)``; of a stratified sampler ``(n, K, *batch, *event)``."""
    log_density: Tensor
    """The log-density at each point of the Gaussian, or of the component, that it was drawn from."""
    weights: Tensor | None = None
    """The weights ``(K, *batch)`` of the components of a stratified sampler."""


class Sampler(abc.ABC):
    """Maps the points of sequences to points of a density."""

    n_sequences: int
    """The number of sequences that it needs."""
    dim: int
    """The dimension of the sequences."""

    @abc.abstractmethod
    def points(self, sequences: "Sequence[_SobolSequence]", n: int) -> Points:
        """The next ``n`` points of each sequence, mapped to the density."""


class GaussianSampler(Sampler):
    """Draws from a Gaussian."""

    def __init__(self, p: Gaussian) -> None:
        self.p, self.n_sequences, self.dim = p, 1, p.event_size

    def points(self, sequences: "Sequence[_SobolSequence]", n: int) -> Points:
        """The next ``n`` points of p, ``(n, *batch, *event)``."""
        normal = sequences[0].normal(n).reshape(n, *[1] * len(self.p.batch_shape), self.p.event_size)
        return _transform(self.p, normal)


class ComponentChoiceSampler(Sampler):
    """Draws from a mixture: the first coordinate of a sequence chooses the component, by its distribution function.

    The components are numbered in an order in which successive ones are close, so that the integrand is as smooth as
    possible in that coordinate. The points have no gradients with respect to the weights.
    """

    def __init__(self, p: Mixture) -> None:
        self.p, self.n_sequences, self.dim = p, 1, p.event_size + 1
        self.order = _order_along_widest_coordinate(p.components)
        self.cumulative_weights = p.log_weights.detach().double().exp().cpu().gather(-1, self.order).cumsum(-1)

    def points(self, sequences: "Sequence[_SobolSequence]", n: int) -> Points:
        """The next ``n`` points of p, ``(n, *batch, *event)``."""
        uniform, normal = sequences[0].uniform_and_normal(n)
        thresholds = (uniform * self.cumulative_weights[..., -1:]).contiguous()
        position = torch.searchsorted(self.cumulative_weights, thresholds, right=True)
        component = self.order.gather(-1, position.clamp(max=self.p.n_components - 1)).movedim(-1, 0)
        normal = normal.reshape(n, *[1] * len(self.p.batch_shape), self.p.event_size)
        return _transform(self.p.chosen(component), normal)


class StratifiedSampler(Sampler):
    """Draws equally many points from each component of a mixture, with the weights of the components."""

    def __init__(self, p: Mixture) -> None:
        self.p, self.n_sequences, self.dim = p, p.n_components, p.event_size

    def points(self, sequences: "Sequence[_SobolSequence]", n: int) -> Points:
        """The next ``n`` points of each component, ``(n, K, *batch, *event)``."""
        batch_dims = len(self.p.batch_shape)
        normal = torch.stack([sequence.normal(n) for sequence in sequences], 1)
        normal = normal.reshape(n, *[1] * batch_dims, self.p.n_components, self.p.event_size)
        x, log_density, _ = _transform(self.p.components, normal)
        weights = self.p.log_weights.double().exp().movedim(-1, 0)
        return Points(x.movedim(batch_dims + 1, 1), log_density.movedim(batch_dims + 1, 1), weights)


def _sampler(p: Gaussian | Mixture, points_per_replicate: int) -> Sampler:
    """The sampler for p; a mixture is stratified if there are enough points, or if its weights need gradients."""
    if isinstance(p, Gaussian):
        return GaussianSampler(p)
    too_many_components = p.n_components * _FEWEST_POINTS_OF_A_COMPONENT > points_per_replicate
    if too_many_components and not (torch.is_grad_enabled() and p.log_weights.requires_grad):
        return ComponentChoiceSampler(p)
    return StratifiedSampler(p)


class _SobolSequence:
    """A scrambled Sobol sequence; independent uniform numbers in dimensions for which there is none."""

    def __init__(self, d: int, seed: int) -> None:
        self.d = d
        if 1 <= d <= SobolEngine.MAXDIM:
            self.engine = SobolEngine(d, scramble=True, seed=seed)
        else:
            self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, n: int) -> Tensor:
        """The next points, ``(n, d)``, strictly inside (0, 1): the centres of the cells of the sequence."""
        if 1 <= self.d <= SobolEngine.MAXDIM:
            points: Tensor = self.engine.draw(n, dtype=torch.float64)
            return points * (1.0 - 2.0**-30) + 2.0**-31
        return torch.rand(n, self.d, dtype=torch.float64, generator=self.generator).clamp(2.0**-54, 1.0 - 2.0**-53)

    def normal(self, n: int) -> Tensor:
        """The next points as standard normal vectors, ``(n, d)``."""
        normal: Tensor = torch.special.ndtri(self.uniform(n))
        return normal

    def uniform_and_normal(self, n: int) -> tuple[Tensor, Tensor]:
        """The next points: the first coordinates ``(n,)`` uniform, the others ``(n, d - 1)`` normal."""
        u = self.uniform(n)
        return u[:, 0], torch.special.ndtri(u[:, 1:])


def _order_along_widest_coordinate(g: Gaussian) -> Tensor:
    """The components in the order of their means in the coordinate with the largest variance of means."""
    means = g.mean.detach().broadcast_to(g.batch_shape + g.event_shape).reshape(*g.batch_shape, -1).double().cpu()
    spread = means.var(-2).reshape(-1, means.shape[-1]).mean(0)
    return means[..., int(spread.argmax())].argsort(-1)


def _transform(g: Gaussian, normal: Tensor) -> Points:
    """Standard normal vectors ``(..., *batch, d)`` as points ``mean + L z`` of Gaussians. Differentiable."""
    p, normal = g.cast(torch.float64, g.device), normal.to(g.device)
    mean = p.mean.broadcast_to(g.batch_shape + g.event_shape)
    half_log_det = p.scale.half_log_det(g.event_shape)
    log_density = -0.5 * (normal.square().sum(-1) + g.event_size * math.log(2 * math.pi)) - half_log_det
    log_density = log_density.expand(normal.shape[: normal.ndim - 1 - len(g.batch_shape)] + g.batch_shape)
    if isinstance(p.scale, Diagonal):
        x = mean + p.scale.to("std").value * normal.reshape(*normal.shape[:-1], *g.event_shape)
    else:
        assert isinstance(p.scale, MatrixScale)
        x = mean + (p.scale.tril() @ normal.unsqueeze(-1)).squeeze(-1)
    return Points(x, log_density)
