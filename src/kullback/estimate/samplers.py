r"""Averages over points drawn from a density: :math:`\mathrm E_p f`, with their errors.

From Gaussians and mixtures by randomized quasi-Monte Carlo: 16 independent scramblings of the Sobol sequence, whose
averages are independent and unbiased, so that their spread is an honest error. A mixture has a sequence for each
component, and the averages are weighted, which leaves out what choosing components adds to the variance; one of too
many components chooses them by a further coordinate. From anything else by independent draws.
"""

import abc
import math
from collections.abc import Callable
from typing import Any

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

# The 97.5 % points of Student's t with 15 degrees of freedom, and of the normal.
T_QUANTILE, NORMAL_QUANTILE = 2.131449545559323, 1.959963984540054

# Points of a component that a replicate has at least; numbers that are computed on at once, and independent points.
_LEAST, _NUMBERS, _DRAWN = 16, 2**21, REPLICATES * 2**12

# Of points, and of the log-densities there of the Gaussians that they were drawn from (NaN if from something else).
Integrand = Callable[[Tensor, Tensor], Tensor]


def average(p: Density, integrand: Integrand, seed: int | None, batch_dims: int) -> "Average":
    """The average of a function over a density; its values have ``batch_dims`` batch dimensions."""
    kind = MonteCarlo if isinstance(p, Foreign) else RandomizedQMC
    return kind(p, integrand, seed, batch_dims)


def _power_of_two(n: int) -> int:
    """Points of each of so many sequences, of which there are at least n: 2^k."""
    return 1 << (n - 1).bit_length()


class Average(abc.ABC):
    """An average from as many points as have been added."""

    quantile: float
    """How many standard errors an interval reaches."""

    def __init__(self, p: Any, integrand: Integrand, seed: int | None, batch_dims: int) -> None:
        self.p, self.integrand, self.seed = p, integrand, seed
        self.missing = batch_dims - len(p.batch_shape)
        self.n = 0

    @abc.abstractmethod
    def grow(self, n: int) -> None:
        """Take at least ``n`` points in all: 16 × 2^k, or that in each sequence."""

    @abc.abstractmethod
    def value(self) -> Tensor:
        """The average."""

    @abc.abstractmethod
    def standard_error(self) -> Tensor:
        """Its standard error."""

    def aligned(self, x: Tensor, lead: int) -> Tensor:
        """With the batch dimensions that p has not, of size 1, after the leading ones."""
        return x.reshape(*x.shape[:lead], *[1] * self.missing, *x.shape[lead:])


class MonteCarlo(Average):
    """By independent draws."""

    quantile = NORMAL_QUANTILE
    origin: Tensor | None = None  # what sums are taken from: differences keep digits that the values' squares have not
    sum: Tensor
    squares: Tensor

    def grow(self, n: int) -> None:
        """In pieces, each of which adds to the sums of the values and of their squares."""
        n = REPLICATES * _power_of_two(-(-n // REPLICATES))
        with torch.random.fork_rng(enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(self.seed + self.n)
            for start in range(self.n, n, _DRAWN):
                x = self.aligned(self.p.draw(min(_DRAWN, n - start)), 1)
                self._add(self.integrand(x, torch.tensor(math.nan, dtype=torch.float64)).double())
        self.n = n

    def _add(self, values: Tensor) -> None:
        if self.origin is None:
            self.origin = values.detach().mean(0).nan_to_num(posinf=0.0, neginf=0.0)
            self.sum = self.squares = torch.zeros_like(self.origin)
        centred = values - self.origin
        self.sum = self.sum + centred.sum(0)
        self.squares = self.squares + centred.detach().square().sum(0)

    def value(self) -> Tensor:
        """The average."""
        assert self.origin is not None
        return self.origin + self.sum / self.n

    def standard_error(self) -> Tensor:
        """Of the spread of all values."""
        variance = self.squares / self.n - (self.sum.detach() / self.n).square()
        return (variance.clamp(min=0.0) / (self.n - 1)).sqrt()


class RandomizedQMC(Average):
    """By scrambled sequences: a sum of each replicate."""

    quantile = T_QUANTILE
    engines: list[list["_Normals"]]  # of each replicate
    place: "Place"
    points: int  # that each sequence has given
    sums: list[Tensor]  # of each replicate

    def grow(self, n: int) -> None:
        """Continue every sequence."""
        if not self.n:
            self._plan(_power_of_two(-(-n // REPLICATES)))
        sequences = len(self.engines[0])
        points = _power_of_two(-(-n // (REPLICATES * sequences)))
        step = max(1, _NUMBERS // max(1, sequences * self.p.batch_shape.numel() * max(self.p.event_size, 1)))
        for r, engines in enumerate(self.engines):
            for start in range(self.points, points, step):
                x, own, weights = self.place(engines, min(step, points - start))
                self.sums[r] = self.sums[r] + self._sum(x, own, weights)
        self.points, self.n = points, REPLICATES * sequences * points

    def _plan(self, points: int) -> None:
        p = self.p
        sequences, d, self.place = _places(p, points)
        seeds = np.random.SeedSequence(self.seed).generate_state(REPLICATES * sequences).reshape(REPLICATES, sequences)
        self.engines = [[_Normals(d, int(seed)) for seed in row] for row in seeds]
        self.points, self.sums = 0, [torch.zeros((), dtype=torch.float64, device=p.device)] * REPLICATES

    def _sum(self, x: Tensor, own: Tensor, weights: Tensor | None) -> Tensor:
        lead = 1 if weights is None else 2
        values = self.integrand(self.aligned(x, lead), self.aligned(own, lead))
        if weights is None:
            return values.sum(0)
        weights = self.aligned(weights, 1)
        # A component of no weight adds nothing, whatever the value.
        return torch.where(weights > 0, weights * values, 0.0).sum(1).sum(0)

    def value(self) -> Tensor:
        """The average."""
        return torch.stack(self.sums).mean(0) / self.points

    def standard_error(self) -> Tensor:
        """Of the spread of the replicates."""
        return torch.stack(self.sums).detach().std(0) / (self.points * math.sqrt(REPLICATES))


# Points ``(n, *batch, *event)`` from sequences, or by components ``(n, K, *batch, *event)``; the logarithms of the
# densities of the Gaussians that they were drawn from; and the weights of the components.
Place = Callable[[list["_Normals"], int], tuple[Tensor, Tensor, Tensor | None]]


def _places(p: Gaussian | Mixture, points: int) -> tuple[int, int, Place]:
    """How many sequences of how many dimensions each replicate needs, and how points are made of them."""
    batch = [1] * len(p.batch_shape)
    if isinstance(p, Gaussian):

        def alone(engines: list[_Normals], n: int) -> tuple[Tensor, Tensor, None]:
            return *_moved(p, engines[0].draw(n).reshape(n, *batch, p.event_size)), None

        return 1, p.event_size, alone
    if p.n_components * _LEAST > points and not (torch.is_grad_enabled() and p.log_weights.requires_grad):
        order = _along_an_axis(p.components)
        edges = p.log_weights.detach().double().exp().cpu().gather(-1, order).cumsum(-1)

        def choose(engines: list[_Normals], n: int) -> tuple[Tensor, Tensor, None]:
            uniform, normal = engines[0].split(n)
            where = torch.searchsorted(edges, (uniform * edges[..., -1:]).contiguous(), right=True)
            where = order.gather(-1, where.clamp(max=p.n_components - 1)).movedim(-1, 0)
            return *_moved(p.chosen(where), normal.reshape(n, *batch, p.event_size)), None

        return 1, p.event_size + 1, choose

    def by_components(engines: list[_Normals], n: int) -> tuple[Tensor, Tensor, Tensor]:
        normal = torch.stack([engine.draw(n) for engine in engines], 1)
        moved = _moved(p.components, normal.reshape(n, *batch, p.n_components, p.event_size))
        points, own = (x.movedim(len(batch) + 1, 1) for x in moved)
        return points, own, p.log_weights.double().exp().movedim(-1, 0)

    return p.n_components, p.event_size, by_components


class _Normals:
    """Standard normal vectors by a scrambled Sobol sequence; independent ones beyond its dimensions."""

    def __init__(self, d: int, seed: int) -> None:
        self.d = d
        if 1 <= d <= SobolEngine.MAXDIM:
            self.engine = SobolEngine(d, scramble=True, seed=seed)
        else:
            self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, n: int) -> Tensor:
        """Inside (0, 1): the middle of each of the sequence's cells."""
        if 1 <= self.d <= SobolEngine.MAXDIM:
            drawn: Tensor = self.engine.draw(n, dtype=torch.float64)
            return drawn * (1.0 - 2.0**-30) + 2.0**-31
        return torch.rand(n, self.d, dtype=torch.float64, generator=self.generator).clamp(2.0**-54, 1.0 - 2.0**-53)

    def draw(self, n: int) -> Tensor:
        """``(n, d)``."""
        normal: Tensor = torch.special.ndtri(self.uniform(n))
        return normal

    def split(self, n: int) -> tuple[Tensor, Tensor]:
        """The first coordinate as it is, the others normal."""
        u = self.uniform(n)
        return u[:, 0], torch.special.ndtri(u[:, 1:])


def _along_an_axis(g: Gaussian) -> Tensor:
    """The components in the order of their means along the coordinate in which these spread most: neighbours, whose
    numbers are near each other, then have densities that are.
    """
    means = g.mean.detach().broadcast_to(g.batch_shape + g.event_shape).reshape(*g.batch_shape, -1).double().cpu()
    spread = means.var(-2).reshape(-1, means.shape[-1]).mean(0)
    return means[..., int(spread.argmax())].argsort(-1)


def _moved(g: Gaussian, normal: Tensor) -> tuple[Tensor, Tensor]:
    """Standard normal vectors ``(..., *batch, d)`` moved to Gaussians, mean + L z, and the log-densities there.
    Differentiable.
    """
    p, normal = g.cast(torch.float64, g.device), normal.to(g.device)
    mean = p.mean.broadcast_to(g.batch_shape + g.event_shape)
    half_log_det = p.scale.half_log_det(g.event_shape)
    own = -0.5 * (normal.square().sum(-1) + g.event_size * math.log(2 * math.pi)) - half_log_det
    own = own.expand(normal.shape[: normal.ndim - 1 - len(g.batch_shape)] + g.batch_shape)
    if isinstance(p.scale, Diagonal):
        return mean + p.scale.to("std").value * normal.reshape(*normal.shape[:-1], *g.event_shape), own
    assert isinstance(p.scale, MatrixScale)
    return mean + (p.scale.tril() @ normal.unsqueeze(-1)).squeeze(-1), own
