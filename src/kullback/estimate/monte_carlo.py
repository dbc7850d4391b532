r"""Averages over points drawn from a density: :math:`\mathrm E_p f`, with their errors.

From Gaussians and mixtures by randomised quasi-Monte Carlo: 16 independent scramblings of the Sobol sequence, whose
averages are independent and unbiased, so that their spread is an honest error. A mixture has a sequence for each
component, and the averages are weighted, which leaves out what choosing components adds to the variance; one of too
many components chooses them by a further coordinate. From anything else by independent draws.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from kullback.estimate.densities import Density, Foreign
from kullback.gaussian import Gaussian
from kullback.mixture import Mixture
from kullback.scale.base import MatrixScale
from kullback.scale.diagonal import Diagonal

REPLICATES = 16

# The 97.5 % points of Student's t with 15 degrees of freedom, and of the normal.
T_QUANTILE, NORMAL_QUANTILE = 2.131449545559323, 1.959963984540054

# Points of a component that a replicate has at least, and numbers that are computed on at once.
_LEAST, _NUMBERS = 16, 2**21

Integrand = Callable[[Tensor], Tensor]


@dataclass(eq=False)
class Average:
    """The average of a function over a density, from as many points as have been added."""

    p: Density
    integrand: Integrand
    seed: int | None
    batch_dims: int  # of what the integrand gives: points have as many, those that p has not of size 1
    n: int = 0
    _streams: list["_Stream"] = field(default_factory=list)
    _sums: list[Tensor] = field(default_factory=list)
    _points: int = 0  # of each replicate and sequence; of all, for independent draws

    def grow(self, n: int) -> None:
        """Take at least ``n`` points in all."""
        if isinstance(self.p, Foreign):
            self._independent(n)
        else:
            self._quasi(n)

    def value(self) -> Tensor:
        """The average."""
        if isinstance(self.p, Foreign):
            return self._sums[0] / self.n
        return torch.stack(self._sums).mean(0) / self._points

    def standard_error(self) -> Tensor:
        """Its standard error."""
        if isinstance(self.p, Foreign):
            variance = self._sums[1] / self.n - (self._sums[0].detach() / self.n).square()
            return (variance.clamp(min=0.0) / (self.n - 1)).sqrt()
        return torch.stack(self._sums).detach().std(0) / (self._points * math.sqrt(REPLICATES))

    @property
    def quantile(self) -> float:
        """How many standard errors an interval reaches."""
        return NORMAL_QUANTILE if isinstance(self.p, Foreign) else T_QUANTILE

    def _independent(self, n: int) -> None:
        assert isinstance(self.p, Foreign)
        with torch.random.fork_rng(enabled=self.seed is not None):
            if self.seed is not None:
                torch.manual_seed(self.seed + self.n)
            x = self.p.draw(n - self.n)
        values = self.integrand(self._aligned(x, 1)).double()
        sums = [values.sum(0), values.detach().square().sum(0)]
        self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)] if self._sums else sums
        self.n = n

    def _quasi(self, n: int) -> None:
        assert isinstance(self.p, Gaussian | Mixture)
        points = 1 << max(0, math.ceil(math.log2(max(n, 1) / REPLICATES)))
        if not self._streams:
            self._streams = _streams(self.p, points, self.seed)
        sequences = self._streams[0].sequences
        points = max(1, 1 << math.ceil(math.log2(points / sequences)) if sequences < points else 1)
        for r, stream in enumerate(self._streams):
            for start in range(self._points, points, stream.step):
                x, weights = stream.draw(min(stream.step, points - start))
                if weights is None:
                    total = self.integrand(self._aligned(x, 1)).sum(0)
                else:
                    weights = self._aligned(weights, 1)
                    terms = weights * self.integrand(self._aligned(x, 2))
                    total = torch.where(weights > 0, terms, 0.0).sum(1).sum(0)
                if len(self._sums) <= r:
                    self._sums.append(total)
                else:
                    self._sums[r] = self._sums[r] + total
        self._points, self.n = points, REPLICATES * sequences * points

    def _aligned(self, x: Tensor, lead: int) -> Tensor:
        """With the batch dimensions that p has not, after the leading ones."""
        missing = self.batch_dims - len(self.p.batch_shape)
        return x.reshape(*x.shape[:lead], *[1] * missing, *x.shape[lead:])


@dataclass(eq=False)
class _Stream:
    """One replicate's points, drawn in order."""

    p: Gaussian | Mixture
    engines: list["_Normals"]
    chooses: bool  # are components chosen by the first coordinate?
    step: int

    @property
    def sequences(self) -> int:
        return len(self.engines)

    def draw(self, n: int) -> tuple[Tensor, Tensor | None]:
        """Points ``(n, *batch, *event)``; of a mixture by components ``(n, K, *batch, *event)`` with their weights."""
        p = self.p
        batch = [1] * len(p.batch_shape)
        if isinstance(p, Gaussian):
            return _moved(p, self.engines[0].draw(n).reshape(n, *batch, p.event_size)), None
        if self.chooses:
            uniform, normal = self.engines[0].split(n)
            return _moved(_chosen(p, uniform), normal.reshape(n, *batch, p.event_size)), None
        normal = torch.stack([engine.draw(n) for engine in self.engines], 1)
        points = _moved(p.components, normal.reshape(n, *batch, p.n_components, p.event_size))
        return points.movedim(len(batch) + 1, 1), p.log_weights.double().exp().movedim(-1, 0)


def _chosen(p: Mixture, uniform: Tensor) -> Gaussian:
    """The component of each mixture at which the sum of the weights passes each number of (0, 1), ``(n, *batch)``."""
    order = _along_an_axis(p.components)
    edges = p.log_weights.detach().double().exp().cpu().gather(-1, order).cumsum(-1)
    where = torch.searchsorted(edges, (uniform * edges[..., -1:]).contiguous(), right=True)
    where = order.gather(-1, where.clamp(max=p.n_components - 1)).movedim(-1, 0)
    axes = [torch.arange(m).reshape(-1, *[1] * (len(p.batch_shape) - 1 - i)) for i, m in enumerate(p.batch_shape)]
    return p.components[(*(axis.expand(where.shape) for axis in axes), where)]


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


def _streams(p: Gaussian | Mixture, points: int, seed: int | None) -> list[_Stream]:
    size = p.n_components if isinstance(p, Mixture) else 1
    differentiated = isinstance(p, Mixture) and torch.is_grad_enabled() and p.log_weights.requires_grad
    chooses = size * _LEAST > points and not differentiated and size > 1
    sequences, d = (1, p.event_size + 1) if chooses else (size, p.event_size)
    seeds = np.random.SeedSequence(seed).generate_state(REPLICATES * sequences).reshape(REPLICATES, sequences)
    step = max(1, _NUMBERS // max(1, sequences * p.batch_shape.numel() * max(p.event_size, 1)))
    return [_Stream(p, [_Normals(d, int(s)) for s in row], chooses, step) for row in seeds]


def _along_an_axis(g: Gaussian) -> Tensor:
    """The components in the order of their means along the coordinate in which these spread most: neighbours, whose
    numbers are near each other, then have densities that are.
    """
    means = g.mean.detach().broadcast_to(g.batch_shape + g.event_shape).reshape(*g.batch_shape, -1).double().cpu()
    spread = means.var(-2).reshape(-1, means.shape[-1]).mean(0)
    return means[..., int(spread.argmax())].argsort(-1)


def _moved(g: Gaussian, normal: Tensor) -> Tensor:
    """Standard normal vectors ``(..., *batch, d)`` moved to Gaussians: mean + L z. Differentiable."""
    p, normal = g.cast(torch.float64, g.device), normal.to(g.device)
    assert isinstance(p.location, Tensor)
    location = p.location.broadcast_to(g.batch_shape + g.event_shape)
    if isinstance(p.scale, Diagonal):
        return location + p.scale.to("std").tensor * normal.reshape(*normal.shape[:-1], *g.event_shape)
    assert isinstance(p.scale, MatrixScale)
    return location + (p.scale.tril() @ normal.unsqueeze(-1)).squeeze(-1)
