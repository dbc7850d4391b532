r"""The 2-Wasserstein distance (Bures metric on the covariances).

With factors L and the orthogonal Q that brings them closest the square is :math:`\|\Delta\|^2 + \|L_p - L_q Q\|_F^2`;
the trace formula subtracts what this never adds. It needs no singular vectors, and gives values without derivatives
where a bound of its rounding errors says that nothing is lost.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from kullback.divergences.api import divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.elementary import length, power_of_two
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import active_transform, may_read_values
from kullback.numerics.memory import check_room
from kullback.numerics.near_factors import difference
from kullback.numerics.procrustes import square_by_norms
from kullback.numerics.rows import replaced
from kullback.numerics.tensors import broadcast_shapes
from kullback.pairs.base import have_densities
from kullback.pairs.dispatch import covariance_difference, diagonal_pair

# From so many dimensions on, is there room? For so many matrices a pair.
_LARGE, _MATRICES = 4096, 4

# The trace formula is taken where its error is less than this many units in the last place.
_ULPS = 450


@divergence
def wasserstein2(p: Gaussian, q: Gaussian, *, squared: bool = False) -> Tensor:
    r"""The 2-Wasserstein distance, in the units of the coordinates (the Fréchet distance of FID is its square).

    .. math:: W_2^2 = \|\mu_p - \mu_q\|^2
        + \operatorname{tr} \left[ \Sigma_p + \Sigma_q - 2 (\Sigma_q^{1/2} \Sigma_p \Sigma_q^{1/2})^{1/2} \right]

    Singular Gaussians have one too, such as those of fewer samples than coordinates
    (``Gaussian.from_samples(x, structure="low_rank")``): by the products of their factors, d × r and d × s, and without
    d × d matrices; the trace of the root is the nuclear norm of an r × s matrix. Pairs with a variance beside a
    low-rank factor are computed by d × d matrices: no other form is known.

    Gradient:
        Exact and twice differentiable. A distance has no derivative at p = q; the subgradient given there is 0. The
        squared distance is smooth; of a singular Gaussian only along changes that keep its rank.
    Stability:
        Never negative, exactly 0 at p = q; no cancellation near it. Two singular Gaussians that are near each other by
        factors that are not have an absolute error of the rounding of the factors.

    Args:
        p: Gaussians, or what :func:`as_gaussian` converts to them.
        q: the same.
        squared: the square of the distance instead.

    Raises:
        ShapeError: if the events differ or the batches do not broadcast.
        NoClosedForm: for what is not Gaussian.
        MemoryError: if the d × d matrices of large d do not fit into the memory of this machine.

    Reference:
        D. C. Dowson and B. V. Landau, The Fréchet distance between multivariate normal distributions, Journal of
        Multivariate Analysis 12, 1982.

    Example:
        >>> from kullback import Gaussian, wasserstein2
        >>> float(wasserstein2(Gaussian.from_std([0.0, 0.0], [1.0, 1.0]), Gaussian.from_std([3.0, 0.0], [1.0, 5.0])))
        5.0
    """
    if p.scale.is_diagonal and q.scale.is_diagonal:
        pair = diagonal_pair(p, q)
        components = torch.stack(torch.broadcast_tensors(p.mean - q.mean, pair.std_difference()), -1)
        dims = tuple(range(-1 - len(p.event_shape), 0))
        return components.square().sum(dims) if squared else length(components, dims)
    if have_densities(p, q):
        return _distance(p, q, _of_regular(p, q), squared=squared)
    a, b = (g.cast(torch.float64, g.mean.device) for g in (p, q))
    return _distance(a, b, _of_singular(a, b), squared=squared).to(p.mean.dtype)


class _Part(NamedTuple):
    """The part of the covariances."""

    components: Tensor
    """Their squares add up to it."""
    turn: Tensor
    """What else has its derivatives, divided by ``unit``."""
    unit: Tensor
    """The size of the factors, so that no square leaves the range of the dtype."""


def _distance(p: Gaussian, q: Gaussian, part: _Part, *, squared: bool) -> Tensor:
    delta, (scales, turn, unit) = p.mean - q.mean, part
    batch = broadcast_shapes(delta.shape[:-1], scales.shape[:-1])
    components = torch.cat([x.expand(*batch, x.shape[-1]) for x in (delta, scales)], -1)
    if squared:
        return components.square().sum(-1) + turn * unit
    distance = length(components, (-1,))
    return distance + turn * (unit / (2.0 * torch.where(distance > 0, distance, 1.0).detach()))


def _of_regular(p: Gaussian, q: Gaussian) -> _Part:
    """By triangular factors and, near p = q, the difference of the covariances."""
    _check_room(p, q)
    factor_p, factor_q = (g.scale.factor_matrix(g.event_shape) for g in (p, q))
    return _of_factors(factor_p, factor_q, lambda: covariance_difference(p.scale, q.scale, p.event_shape))


def _of_singular(p: Gaussian, q: Gaussian) -> _Part:
    """By factors of any shape, the narrower with columns of zeros where they are subtracted."""
    if p.scale.has_density or q.scale.has_density:
        _check_room(p, q)
    return _of_factors(p.scale.root(p.event_shape), q.scale.root(q.event_shape), lambda: None)


def _check_room(p: Gaussian, q: Gaussian) -> None:
    """Raise a MemoryError if there is none for the d × d matrices."""
    if p.mean.is_cpu and p.event_size > _LARGE:
        pairs = math.prod(broadcast_shapes(p.batch_shape, q.batch_shape))
        size = _MATRICES * pairs * p.event_size**2 * p.mean.dtype.itemsize
        check_room(size, f"wasserstein2 of {pairs} pairs in {p.event_size} dimensions, by d × d matrices,")


def _of_factors(a: Tensor, b: Tensor, covariances: Callable[[], Tensor | None]) -> _Part:
    """In units in which no product of four elements leaves the range of the dtype."""
    size = torch.maximum(*(torch.linalg.vector_norm(x.detach(), torch.inf, (-2, -1)) for x in (a, b)))
    info = torch.finfo(size.dtype)
    unit = torch.where((size > info.tiny**0.2) & (size < info.max**0.2), 1.0, power_of_two(size))
    readable = may_read_values(a) and may_read_values(b) and active_transform() is None
    if readable and bool((unit == 1.0).all()):
        return _Part(*_components(a, b, covariances, readable=readable), unit)
    by = unit[..., None, None]

    def in_units() -> Tensor | None:
        change = covariances()
        return None if change is None else change / by / by

    components, turn = _components(a / by, b / by, in_units, readable=readable)
    return _Part(components * unit.unsqueeze(-1), turn * unit, unit)


def _components(
    a: Tensor, b: Tensor, covariances: Callable[[], Tensor | None], *, readable: bool
) -> tuple[Tensor, Tensor]:
    """The components, and the turn. Without derivatives the only component is the length, by the trace formula where
    that is accurate enough.
    """

    def given() -> tuple[Tensor, ...]:
        change = covariances()
        return _of_one_width(a, b) if change is None else (a, b, change)

    if not readable or any_requires_grad(a, b):
        matrix, turn = difference(*given())
        return matrix.flatten(-2), turn
    square, accurate = square_by_norms(a, b, _ULPS)
    lengths = square.sqrt()
    if not accurate.all():
        lengths = replaced(lengths, ~accurate, _length, *given())
    return lengths.unsqueeze(-1), a.new_zeros(())


def _length(a: Tensor, b: Tensor, covariances: Tensor | None = None) -> Tensor:
    return length(difference(a, b, covariances)[0], (-2, -1))


def _of_one_width(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    width = max(a.shape[-1], b.shape[-1])
    return tuple(x if x.shape[-1] == width else pad(x, (0, width - x.shape[-1])) for x in (a, b))  # type: ignore[return-value]
