r"""Log-densities of mixtures at many points.

For one component :math:`-\tfrac12 \sum (x - \mu)^2 / v` expands to a product of :math:`(x^2, x, 1)` and
:math:`(-\tfrac1{2v}, \mu / v, -\tfrac12 \sum \mu^2 / v)`: one matrix product for all points and components. It cancels
where components are narrow and far from the centre. The error is bounded by the sizes of the terms; an entry that is
not certain, and whose component matters at that point, is computed again from the difference.
"""

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import solve_lower
from kullback.numerics.tensors import compute_dtype

# Numbers of a tile, points and components of one.
_POINTS, _NUMBERS = 256, 2**20

# Points, components and coordinates that are kept for a derivative.
_KEPT = 2**24

# An exponent this much below the largest adds nothing in float64; one that is certain is off by less than this.
_MATTERS, _CERTAIN = 40.0, 1e-10


def log_mixture(log_weights: Tensor, components: Gaussian, x: Tensor) -> Tensor:
    """``log sum_k exp(log_weights_k) N(x; component k)`` for points ``(..., *event)``; one batch dimension less."""
    tensors = [log_weights, *components.tensors(), x]
    lead = x.shape[: x.ndim - components.event_dims]

    def whole(x: Tensor) -> Tensor:
        each = torch.as_tensor(components.log_prob(x.unsqueeze(x.ndim - components.event_dims)))
        return torch.logsumexp(log_weights + each, -1)

    many = bool(lead) and log_weights.ndim == 1
    if not many or not all(is_concrete(v) for v in tensors):
        return whole(x)
    if any_requires_grad(*tensors):
        # What a piece leaves behind for its derivative is made again when that is wanted.
        step = max(1, _KEPT // (components.event_size * len(components) or 1))
        if lead.numel() <= step:
            return whole(x)
        pieces = x.reshape(lead.numel(), *components.event_shape).split(step)
        found = torch.cat([checkpoint(whole, piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces])
        return found.reshape(lead)
    points = x.detach().reshape(lead.numel(), components.event_size)
    found = _in_tiles(log_weights.detach(), components.detach(), points)
    return found.to(compute_dtype(tensors)).reshape(lead)


def _in_tiles(log_weights: Tensor, g: Gaussian, points: Tensor) -> Tensor:
    """In float64, with the largest exponent so far and the sum of what is relative to it."""
    size = len(g)
    largest = torch.full((len(points),), -math.inf, dtype=torch.float64, device=points.device)
    total = torch.zeros_like(largest)
    d = max(points.shape[1], 1)
    step = max(1, min(_NUMBERS // (d * d if isinstance(g.scale, MatrixScale) else d), _NUMBERS // _POINTS))
    for first in range(0, size, step):
        part = g[first : first + step].cast(torch.float64, g.device)
        weights = log_weights[first : first + step].double()
        tile = _Diagonals(part, weights) if isinstance(part.scale, Diagonal) else _Matrices(part, weights)
        for start in range(0, len(points), _POINTS):
            some = slice(start, start + _POINTS)
            exponents = tile.exponents(points[some].double(), largest[some])
            most = torch.maximum(largest[some], exponents.amax(-1))
            shift = torch.where(torch.isfinite(most), most, 0.0)
            total[some] = total[some] * torch.exp(largest[some] - shift) + (exponents - shift[:, None]).exp_().sum(-1)
            largest[some] = most
    return torch.where(torch.isfinite(largest), largest, 0.0) + total.log()


class _Diagonals:
    """Components with independent coordinates, from the centre of their means."""

    def __init__(self, g: Gaussian, log_weights: Tensor) -> None:
        means, logs = g.flat_parameters("logvar")
        half_logs = 0.5 * logs
        self.centre, self.inverse = means.mean(0), torch.exp(-half_logs)
        self.means, centred, precision = means, means - self.centre, self.inverse * self.inverse
        self.constant = log_weights - half_logs.sum(-1) - 0.5 * math.log(2 * math.pi) * means.shape[1]
        slope = centred * precision
        squares = (centred * slope).sum(-1)
        self.right = torch.cat([-0.5 * precision, slope, (self.constant - 0.5 * squares)[:, None]], -1).mT.contiguous()
        # The sizes of the terms, x^2/2v + |x mu|/v + mu^2/2v, are at most x^2/v + mu^2/v: of any component, these.
        self.precision, self.square = precision.amax(0), squares.amax()
        self.unit = (2 * means.shape[1] + 1) * torch.finfo(torch.float64).eps

    def exponents(self, x: Tensor, largest: Tensor) -> Tensor:
        """Of each point and component; ``largest`` is each point's so far."""
        centred = x - self.centre
        squares = centred * centred
        exponents = torch.cat([squares, centred, torch.ones_like(x[:, :1])], -1) @ self.right
        doubtful = ~(self.unit * (squares @ self.precision + self.square) < _CERTAIN)
        if not bool(doubtful.any()):
            return exponents
        most = torch.maximum(largest, exponents.nan_to_num(nan=-math.inf).amax(-1))
        matters = ~(exponents < most[:, None] - _MATTERS) & doubtful[:, None]
        # Points to most of whose exponents it matters are computed as a whole; others' exponents are gathered.
        many = matters.sum(-1) > len(self.means) // 16
        step = max(1, _NUMBERS // self.means.numel())
        for i in many.nonzero()[:, 0].split(step):
            exponents[i] = self._directly(x[i, None], slice(None))
        row, column = (matters & ~many[:, None]).nonzero(as_tuple=True)
        for i, j in zip(row.split(_NUMBERS // 16), column.split(_NUMBERS // 16), strict=True):
            exponents[i, j] = self._directly(x[i], j)
        return exponents

    def _directly(self, x: Tensor, components: Tensor | slice) -> Tensor:
        distance = ((x - self.means[components]) * self.inverse[components]).square().sum(-1)
        return self.constant[components] - 0.5 * distance


class _Matrices:
    """Components whose coordinates are correlated, by their factors: nothing cancels."""

    def __init__(self, g: Gaussian, log_weights: Tensor) -> None:
        assert isinstance(g.scale, MatrixScale)
        d = g.event_size
        self.factor = g.scale.tril().expand(len(g), d, d)
        self.means = g.mean.expand(len(g), d)
        half_logs = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        self.constant = log_weights - half_logs - 0.5 * math.log(2 * math.pi) * d

    def exponents(self, x: Tensor, _largest: Tensor) -> Tensor:
        whitened = solve_lower(self.factor, (x - self.means[:, None]).mT)
        return (self.constant[:, None] - 0.5 * whitened.square().sum(-2)).mT.contiguous()
