"""Points of Gaussians and of mixtures, from scrambled Sobol sequences.

A mixture has a sequence for each component, and the points have weights: this stratification removes the variance that
a random choice of components would add. If there are too many components for that, one more coordinate of the sequence
chooses the component.
"""

import abc
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.guard import in_function_transform

# The fewest points of a component in each replicate for which it has a sequence of its own.
_FEWEST_POINTS_OF_A_COMPONENT = 16


class SobolSequence:
    """A scrambled Sobol sequence; independent uniform numbers in dimensions for which there is none, and under
    transforms of ``torch.func``, which torch's does not work in.
    """

    def __init__(self, d: int, seed: int) -> None:
        self.d = d
        exists = 1 <= d <= SobolEngine.MAXDIM and not in_function_transform()
        self.engine = SobolEngine(d, scramble=True, seed=seed) if exists else None
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, n: int) -> Tensor:
        """The next points, ``(n, d)``, strictly inside (0, 1): the centres of the cells of the sequence."""
        if self.engine is not None:
            points: Tensor = self.engine.draw(n, dtype=torch.float64)
            return points * (1.0 - 2.0**-30) + 2.0**-31
        return torch.rand(n, self.d, dtype=torch.float64, generator=self.generator, device="cpu").clamp(
            2.0**-54, 1.0 - 2.0**-53
        )

    def normal(self, n: int) -> Tensor:
        """The next points as standard normal vectors, ``(n, d)``."""
        normal: Tensor = torch.special.ndtri(self.uniform(n))
        return normal

    def uniform_and_normal(self, n: int) -> tuple[Tensor, Tensor]:
        """The next points: the first coordinates ``(n,)`` uniform, the others ``(n, d - 1)`` normal."""
        u = self.uniform(n)
        return u[:, 0], torch.special.ndtri(u[:, 1:])


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
    def points(self, sequences: Sequence[SobolSequence], n: int) -> Points:
        """The next ``n`` points of each sequence, mapped to the density."""


class GaussianSampler(Sampler):
    """Draws from a Gaussian."""

    def __init__(self, p: Gaussian) -> None:
        self.p, self.n_sequences, self.dim = p, 1, p.event_size

    def points(self, sequences: Sequence[SobolSequence], n: int) -> Points:
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

    def points(self, sequences: Sequence[SobolSequence], n: int) -> Points:
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

    def points(self, sequences: Sequence[SobolSequence], n: int) -> Points:
        """The next ``n`` points of each component, ``(n, K, *batch, *event)``."""
        batch_dims = len(self.p.batch_shape)
        normal = torch.stack([sequence.normal(n) for sequence in sequences], 1)
        normal = normal.reshape(n, *[1] * batch_dims, self.p.n_components, self.p.event_size)
        x, log_density, _ = _transform(self.p.components, normal)
        weights = self.p.log_weights.double().exp().movedim(-1, 0)
        return Points(x.movedim(batch_dims + 1, 1), log_density.movedim(batch_dims + 1, 1), weights)


def sampler_of(p: Gaussian | Mixture, points_per_replicate: int) -> Sampler:
    """The sampler for p; a mixture is stratified if there are enough points, or if its weights need gradients."""
    if isinstance(p, Gaussian):
        return GaussianSampler(p)
    too_many_components = p.n_components * _FEWEST_POINTS_OF_A_COMPONENT > points_per_replicate
    if too_many_components and not (torch.is_grad_enabled() and p.log_weights.requires_grad):
        return ComponentChoiceSampler(p)
    return StratifiedSampler(p)


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
