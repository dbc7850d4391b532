r"""Log-densities of mixtures at many points.

The exponent :math:`-\tfrac12 \sum (x - \mu)^2 / v` of a component expands to the inner product of
:math:`(x^2, x, 1)` and :math:`(-\tfrac1{2v}, \mu / v, -\tfrac12 \sum \mu^2 / v)`, so that one matrix product gives the
exponents of all points and components. It cancels where components are narrow and far from the centre. The rounding
error is bounded by the absolute values of the terms; an uncertain exponent whose component contributes at that point is
computed again from the differences. With derivatives, so are all exponents of some points together.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import solve_lower
from kullback.numerics.screened import recompute
from kullback.numerics.tensors import compute_dtype

# Points in one tile, and elements of a tile: of its exponents, or of the parameters of its components.
_POINTS, _TILE_ELEMENTS = 256, 2**20

# Numbers, for all points, components and coordinates, of what autograd keeps at most for a derivative.
_KEPT = 2**20

# An exponent this much below the largest one contributes nothing in float64.
_NEGLIGIBLE = 40.0

# The largest absolute rounding error of an exponent that is not computed again.
_TOLERANCE = 1e-10


def log_mixture(log_weights: Tensor, components: Gaussian, x: Tensor) -> Tensor:
    """The log-density of mixtures, ``log sum_k exp(log_weights_k) N(x; component k)``, at points ``(..., *event)``.

    Args:
        log_weights: the logarithms of the weights, ``(*batch, K)``.
        components: Gaussians of the same batch shape.
        x: the points; their leading dimensions broadcast with ``batch``.

    Returns:
        The broadcast shape of ``batch`` and the leading dimensions of the points.
    """
    tensors = [log_weights, *components.tensors(), x]
    lead = x.shape[: x.ndim - components.event_dims]

    def whole(x: Tensor) -> Tensor:
        log_probs = from_callers_type(components.log_prob(x.unsqueeze(x.ndim - components.event_dims)))
        return torch.logsumexp(log_weights + log_probs, -1)

    single_mixture_at_many_points = bool(lead) and log_weights.ndim == 1
    if not single_mixture_at_many_points or not all(is_concrete(v) for v in tensors):
        return whole(x)
    if any_requires_grad(*tensors):
        if lead.numel() * len(components) * components.event_size <= _KEPT:
            return whole(x)
        return _in_chunks(log_weights, components, x, whole).to(compute_dtype(tensors)).reshape(lead)
    points = x.detach().reshape(lead.numel(), components.event_size)
    log_density = _in_tiles(log_weights.detach(), components.detach(), points)
    return log_density.to(compute_dtype(tensors)).reshape(lead)


def _in_chunks(log_weights: Tensor, g: Gaussian, x: Tensor, directly: Callable[[Tensor], Tensor]) -> Tensor:
    """The log-density in float64, with derivatives.

    The derivative of a matrix product is one, too. Memory: a chunk keeps only its points, and is computed again for the
    derivative. Chunks with uncertain exponents are computed ``directly``.
    """
    components = _components_of(g.cast(torch.float64, g.device), log_weights.double())

    def log_density(points: Tensor) -> Tensor:
        exponents, uncertain = components.screened(points.reshape(len(points), -1).double())
        if bool(uncertain.any()):
            return directly(points).double()
        return torch.logsumexp(exponents, -1)

    step = max(1, _KEPT // components.numbers_per_point)
    chunks = x.reshape(-1, *g.event_shape).split(step)
    return torch.cat([checkpoint(log_density, part, use_reentrant=False, preserve_rng_state=False) for part in chunks])


def _in_tiles(log_weights: Tensor, g: Gaussian, points: Tensor) -> Tensor:
    """The log-density in float64, as a streaming log-sum-exp over tiles of components.

    For each point, ``largest`` is the largest exponent so far and ``total`` the sum of all exponentials relative to it.
    """
    size = len(g)
    largest = torch.full((len(points),), -math.inf, dtype=torch.float64, device=points.device)
    total = torch.zeros_like(largest)
    d = max(points.shape[1], 1)
    parameters = d * d if isinstance(g.scale, MatrixScale) else d
    step = max(1, min(_TILE_ELEMENTS // parameters, _TILE_ELEMENTS // _POINTS))
    for first in range(0, size, step):
        part = g[first : first + step].cast(torch.float64, g.device)
        weights = log_weights[first : first + step].double()
        tile = _components_of(part, weights)
        for start in range(0, len(points), _POINTS):
            rows = slice(start, start + _POINTS)
            exponents = tile.exponents(points[rows].double(), largest[rows])
            new_largest = torch.maximum(largest[rows], exponents.amax(-1))
            shift = torch.where(torch.isfinite(new_largest), new_largest, 0.0)
            total[rows] = total[rows] * torch.exp(largest[rows] - shift) + (exponents - shift[:, None]).exp_().sum(-1)
            largest[rows] = new_largest
    return torch.where(torch.isfinite(largest), largest, 0.0) + total.log()


def _components_of(g: Gaussian, log_weights: Tensor) -> "_DiagonalComponents | _FullComponents":
    return (_DiagonalComponents if isinstance(g.scale, Diagonal) else _FullComponents)(g, log_weights)


class _DiagonalComponents:
    """Diagonal components. Means and points are taken relative to the mean of the means."""

    def __init__(self, g: Gaussian, log_weights: Tensor) -> None:
        means, logs = g.flat_parameters("logvar")
        half_logs = 0.5 * logs
        self.centre, self.inverse = means.mean(0), torch.exp(-half_logs)
        self.means, centred, precision = means, means - self.centre, self.inverse * self.inverse
        self.constant = log_weights - half_logs.sum(-1) - 0.5 * math.log(2 * math.pi) * means.shape[1]
        slope = centred * precision
        squares = (centred * slope).sum(-1)
        self.right = torch.cat([-0.5 * precision, slope, (self.constant - 0.5 * squares)[:, None]], -1).mT.contiguous()
        # The absolute terms x^2/2v + |x mu|/v + mu^2/2v are at most x^2/v + mu^2/v; here bounded for all components.
        self.largest_precision, self.largest_square = precision.detach().amax(0), squares.detach().amax()
        self.unit = (2 * means.shape[1] + 1) * torch.finfo(torch.float64).eps
        self.numbers_per_point = len(means) + 2 * means.shape[1]

    def screened(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The exponents of all points and components, and for which points they are uncertain."""
        centred = x - self.centre
        squares = centred * centred
        exponents = torch.cat([squares, centred, x.new_ones(len(x), 1)], -1) @ self.right
        bound = self.unit * (squares.detach() @ self.largest_precision + self.largest_square)
        return exponents, ~(bound < _TOLERANCE)

    def exponents(self, x: Tensor, largest: Tensor) -> Tensor:
        """The exponents of all points and components; ``largest`` is the largest so far of each point."""
        exponents, uncertain = self.screened(x)
        if not bool(uncertain.any()):
            return exponents
        new_largest = torch.maximum(largest, exponents.nan_to_num(nan=-math.inf).amax(-1))
        contributes = ~(exponents < new_largest[:, None] - _NEGLIGIBLE)
        recompute(
            exponents,
            contributes & uncertain[:, None],
            whole_rows=lambda rows: self._by_differences(x[rows, None], slice(None)),
            entries=lambda rows, components: self._by_differences(x[rows], components),
            rows_at_once=max(1, _TILE_ELEMENTS // self.means.numel()),
            entries_at_once=_TILE_ELEMENTS // 16,
        )
        return exponents

    def _by_differences(self, x: Tensor, components: Tensor | slice) -> Tensor:
        distance = ((x - self.means[components]) * self.inverse[components]).square().sum(-1)
        return self.constant[components] - 0.5 * distance


class _FullComponents:
    """Components with full covariances, whose exponents are computed by their factors: nothing cancels."""

    def __init__(self, g: Gaussian, log_weights: Tensor) -> None:
        assert isinstance(g.scale, MatrixScale)
        d = g.event_size
        self.factor = g.scale.tril().expand(len(g), d, d)
        self.means = g.mean.expand(len(g), d)
        half_logs = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        self.constant = log_weights - half_logs - 0.5 * math.log(2 * math.pi) * d
        self.numbers_per_point = len(g) * d

    def screened(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The exponents of all points and components, none of which is uncertain."""
        whitened = solve_lower(self.factor, (x - self.means[:, None]).mT)
        exponents = (self.constant[:, None] - 0.5 * whitened.square().sum(-2)).mT.contiguous()
        return exponents, x.new_zeros(len(x), dtype=torch.bool)

    def exponents(self, x: Tensor, _largest: Tensor) -> Tensor:
        """The exponents of all points and components."""
        return self.screened(x)[0]
