r"""The 2-Wasserstein distance (Bures metric on the covariances).

With factors L and the orthogonal Q that brings them closest, the polar factor of :math:`L_q^\top L_p`, the square is
:math:`\|\Delta\|^2 + \|L_p - L_q Q\|_F^2`; the trace formula subtracts what this never adds. Near p = q the matrix
:math:`L_p - L_q Q = X L_q Q` still cancels, so there X is found from the difference of the covariances,
:math:`\Sigma_p - \Sigma_q = X \Sigma_q + \Sigma_q X + X \Sigma_q X`, by fixed-point steps in the eigenbasis of
:math:`\Sigma_q`. Decompositions carry no derivatives: Q is held constant, and differentiated by its own first-order
equation.
"""

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.elementary import length
from kullback.numerics.gradients import with_value
from kullback.numerics.linear_algebra import finite_or_zero, whitened
from kullback.numerics.tensors import broadcast_shapes
from kullback.pairs.dispatch import covariance_difference, diagonal_pair

# GaussianPair differences up to this are taken by the fixed point, which gains a factor of at least 100 a step.
_NEAR = 1e-2
_STEPS = 8


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
    else:
        delta, matrix = (p.mean - q.mean).unsqueeze(-1), _factor_difference(p, q)
        batch = broadcast_shapes(delta.shape[:-1], matrix.shape[:-1])
        components = torch.cat([delta.expand(*batch, 1), matrix.expand(*batch, matrix.shape[-1])], -1)
        dims = (-2, -1)
    return components.square().sum(dims) if squared else length(components, dims)


def _factor_difference(p: Gaussian, q: Gaussian) -> Tensor:
    """L_p − L_q Q, whose squared norm is that of the covariances' part."""
    factor_p, factor_q = p.scale.factor_matrix(p.event_shape), q.scale.factor_matrix(q.event_shape)
    cross = factor_q.mT @ factor_p
    u, s, v = torch.linalg.svd(finite_or_zero(cross.detach()))
    polar: Tensor = u @ v
    # How the polar factor turns when its matrix changes: a Sylvester equation, solved in the basis of v.
    rotated = polar.mT @ (cross - cross.detach())
    turn = v @ (rotated - rotated.mT) @ v.mT
    sums = s.unsqueeze(-1) + s.unsqueeze(-2)
    turn = v.mT @ (turn / torch.where(sums > 0, sums, 1.0)) @ v
    rotation = polar + polar @ (turn + 0.5 * turn @ turn)
    plain: Tensor = factor_p - factor_q @ rotation
    difference = covariance_difference(p.scale, q.scale, p.event_shape).detach()
    near, value = _fixed_point(difference, factor_q.detach())
    return with_value(plain, torch.where(near[..., None, None], value @ factor_q.detach() @ polar, plain))


def _fixed_point(difference: Tensor, factor_q: Tensor) -> tuple[Tensor, Tensor]:
    """X for small relative differences, and where it is valid."""
    near = torch.linalg.matrix_norm(whitened(difference, factor_q)) < _NEAR
    weights, basis = torch.linalg.eigh(finite_or_zero(factor_q @ factor_q.mT))
    rotated = torch.where(near[..., None, None], basis.mT @ difference @ basis, 0.0)
    sums = weights.unsqueeze(-1) + weights.unsqueeze(-2)
    sums = torch.where(sums > 0, sums, 1.0)
    x = rotated / sums
    for _ in range(_STEPS):
        x = (rotated - (x * weights.unsqueeze(-2)) @ x) / sums
    return near, basis @ x @ basis.mT
