r"""Averages :math:`\mathrm E_p f` of functions over points of a density, with their standard errors.

Points of Gaussians and mixtures (``samplers.py``) come from randomized quasi-Monte Carlo: 16 independent scramblings of
a Sobol sequence, whose averages are independent and unbiased, so that their spread gives an unbiased standard error.
Points of other densities are independent draws.

Reference:
    A. B. Owen, Scrambled net variance for integrals of smooth functions, Annals of Statistics 25, 1997.
"""

import abc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.estimate.densities import Density, Foreign
from kullback.estimate.samplers import Points, Sampler, SobolSequence, sampler_of

REPLICATES = 16

# The 97.5 % quantiles of Student's t with 15 degrees of freedom, and of the normal distribution.
T_QUANTILE, NORMAL_QUANTILE = 2.131449545559323, 1.959963984540054

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
                self._add(self.integrand(x, torch.tensor(math.nan, dtype=torch.float64, device=x.device)).double())
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
    sampler: Sampler
    sequences: list[list[SobolSequence]]  # of each replicate
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
        self.sampler = sampler = sampler_of(self.p, points_per_replicate)
        n = REPLICATES * sampler.n_sequences
        seeds = np.random.SeedSequence(self.seed).generate_state(n).reshape(REPLICATES, sampler.n_sequences)
        self.sequences = [[SobolSequence(sampler.dim, int(seed)) for seed in row] for row in seeds]
        self.points_per_sequence = 0
        self.sums = [torch.zeros((), dtype=torch.float64, device=self.p.device)] * REPLICATES

    def _sum(self, sampled: Points) -> Tensor:
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
