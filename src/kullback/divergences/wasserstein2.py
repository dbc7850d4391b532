r"""The 2-Wasserstein distance (Bures metric on the covariances).

With factors L and the orthogonal Q that brings them closest the square is :math:`\|\Delta\|^2 + \|L_p - L_q Q\|_F^2`;
the trace formula subtracts what this never adds. Near p = q the matrix :math:`L_p - L_q Q = X L_q Q` still cancels, so
there X is found from the difference of the covariances,
:math:`\Sigma_p - \Sigma_q = X \Sigma_q + \Sigma_q X + X \Sigma_q X`, by fixed-point steps in the eigenbasis of
:math:`\Sigma_q`. The trace formula needs no singular vectors, and gives values without derivatives where a bound of its
rounding errors says that nothing is lost.
"""

import math

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.elementary import length
from kullback.numerics.gradients import any_requires_grad, with_value
from kullback.numerics.guard import active_transform, may_read_values
from kullback.numerics.linear_algebra import finite_or_zero, whitened
from kullback.numerics.memory import check_room
from kullback.numerics.procrustes import Rotation, square_by_norms
from kullback.numerics.rows import replaced
from kullback.numerics.tensors import broadcast_shapes
from kullback.pairs.dispatch import covariance_difference, diagonal_pair

# Relative differences up to this are taken by the fixed point, which gains a factor of at least 100 a step.
_NEAR = 1e-2
_STEPS = 8

# From so many dimensions on, is there room? For so many matrices a pair.
_LARGE, _MATRICES = 4096, 4

# The trace formula is taken where its error is less than this many units in the last place.
_ULPS = 450


@divergence
def wasserstein2(p: Gaussian, q: Gaussian, *, squared: bool = False) -> Tensor:
    r"""The 2-Wasserstein distance, in the units of the coordinates (the Fréchet distance of FID is its square).

    .. math:: W_2^2 = \|\mu_p - \mu_q\|^2
        + \operatorname{tr} \left[ \Sigma_p + \Sigma_q - 2 (\Sigma_q^{1/2} \Sigma_p \Sigma_q^{1/2})^{1/2} \right]

    Low-rank pairs are computed by d × d matrices: no low-rank
    form is known.

    Gradient:
        Exact and twice differentiable. A distance has no derivative at p = q; the subgradient given there is 0. The
        squared distance is smooth.
    Stability:
        Never negative, exactly 0 at p = q; no cancellation near it.

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
    delta, (scales, turn) = p.mean - q.mean, _of_covariances(p, q)
    batch = broadcast_shapes(delta.shape[:-1], scales.shape[:-1])
    components = torch.cat([x.expand(*batch, x.shape[-1]) for x in (delta, scales)], -1)
    if squared:
        return components.square().sum(-1) + turn
    distance = length(components, (-1,))
    return distance + turn / (2.0 * torch.where(distance > 0, distance, 1.0).detach())


def _of_covariances(p: Gaussian, q: Gaussian) -> tuple[Tensor, Tensor]:
    """Components whose squares add up to the covariances' part, and what else has its derivatives."""
    if p.mean.is_cpu and p.event_size > _LARGE:
        pairs = math.prod(broadcast_shapes(p.batch_shape, q.batch_shape))
        size = _MATRICES * pairs * p.event_size**2 * p.mean.dtype.itemsize
        check_room(size, f"wasserstein2 of {pairs} pairs in {p.event_size} dimensions, by d × d matrices,")
    factor_p, factor_q = (g.scale.factor_matrix(g.event_shape) for g in (p, q))
    readable = may_read_values(factor_p) and may_read_values(factor_q) and active_transform() is None
    if readable and not any_requires_grad(factor_p, factor_q):
        return _lengths(p, q, *torch.broadcast_tensors(factor_p, factor_q)).unsqueeze(-1), factor_p.new_zeros(())
    rotation = Rotation.of(factor_q.mT @ factor_p)
    difference = covariance_difference(p.scale, q.scale, p.event_shape)
    matrix = _factor_difference(factor_p, factor_q @ rotation.matrix(), difference)
    return matrix.flatten(-2), rotation.turn(factor_q.mT @ matrix)


def _lengths(p: Gaussian, q: Gaussian, factor_p: Tensor, factor_q: Tensor) -> Tensor:
    """The norm of L_p − L_q Q, by the trace formula where that is accurate enough."""
    square, accurate = square_by_norms(factor_p, factor_q, _ULPS)
    if accurate.all():
        return square.sqrt()

    def by_difference(factor_p: Tensor, factor_q: Tensor, difference: Tensor) -> Tensor:
        turned = factor_q @ Rotation.of(factor_q.mT @ factor_p).matrix()
        return length(_factor_difference(factor_p, turned, difference), (-2, -1))

    difference = covariance_difference(p.scale, q.scale, p.event_shape)
    return replaced(square.sqrt(), ~accurate, by_difference, factor_p, factor_q, difference)


def _factor_difference(factor_p: Tensor, factor_q: Tensor, difference: Tensor) -> Tensor:
    """L_p − L_q of factors that are as close as they can be; its value near p = q from Σp − Σq."""
    plain, difference, factor = factor_p - factor_q, difference.detach(), factor_q.detach()
    value = plain.detach()
    # As close as they can be, they are no farther apart than (I + E)^½ L_qᵀ and L_qᵀ, for Σp − Σq = L_q E L_qᵀ.
    perhaps_near = torch.linalg.matrix_norm(value) <= _NEAR * torch.linalg.matrix_norm(factor)
    return with_value(plain, replaced(value, perhaps_near, _fixed_point, value, difference, factor))


def _fixed_point(plain: Tensor, difference: Tensor, factor_q: Tensor) -> Tensor:
    """X L_q for small relative differences of the covariances, ``plain`` for others."""
    near = torch.linalg.matrix_norm(whitened(difference, factor_q)) < _NEAR
    weights, basis = torch.linalg.eigh(finite_or_zero(factor_q @ factor_q.mT))
    rotated = torch.where(near[..., None, None], basis.mT @ difference @ basis, 0.0)
    sums = weights.unsqueeze(-1) + weights.unsqueeze(-2)
    sums = torch.where(sums > 0, sums, 1.0)
    x = rotated / sums
    for _ in range(_STEPS):
        x = (rotated - (x * weights.unsqueeze(-2)) @ x) / sums
    return torch.where(near[..., None, None], basis @ x @ basis.mT @ factor_q, plain)
