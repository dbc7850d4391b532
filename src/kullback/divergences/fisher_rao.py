r"""The Fisher–Rao distance: the shortest path among Gaussians, in the metric of the Fisher information.

For one coordinate with :math:`ds^2 = (d\mu^2 + 2 d\sigma^2)/\sigma^2` it is
:math:`\sqrt2 \operatorname{arccosh}(1 + x)`,
:math:`x = (\tfrac12 \Delta^2 + (\sigma_p - \sigma_q)^2) / (2 \sigma_p \sigma_q)`, which loses half of the digits for
small x; :math:`2\sqrt2 \operatorname{asinh}\sqrt{x/2}` loses none. Independent coordinates add in quadrature. Full
covariances have no closed form, and bounds.
"""

import math

import torch
from torch import Tensor

from kullback.divergences.api import divergence, public
from kullback.divergences.results import Bounds
from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.elementary import asinh_ratio, length, square_root
from kullback.numerics.linear_algebra import finite_or_zero, solve_lower
from kullback.pairs.base import jeffreys_terms
from kullback.pairs.diagonal import DiagonalPair
from kullback.pairs.dispatch import diagonal_pair, full_pair, make_pair

# Eigenvalues closer than this, relatively, share the derivative of a function of them.
_CLOSE = 1e-5
_NEAR = 0.5


@divergence
def fisher_rao(p: Gaussian, q: Gaussian, *, squared: bool = False) -> Tensor:
    r"""The Fisher–Rao distance between diagonal Gaussians, in the family of diagonal Gaussians; a metric.

    .. math:: \sqrt{\sum_i \left( 2\sqrt2 \operatorname{asinh} \sqrt{\frac{\tfrac12 (\mu_{p,i} - \mu_{q,i})^2
        + (\sigma_{p,i} - \sigma_{q,i})^2}{4 \sigma_{p,i} \sigma_{q,i}}} \right)^2}

    The metric is :math:`d\mu^2/\sigma^2 + 2 d\sigma^2/\sigma^2` for each coordinate.

    Gradient:
        A distance has no derivative at p = q; the subgradient given there is 0. The squared distance is smooth.

    Args:
        p: Gaussians with diagonal covariances, or what :func:`as_gaussian` converts to them.
        q: the same.
        squared: the square of the distance instead.

    Raises:
        NoClosedForm: if p or q is not diagonal; :func:`fisher_rao_bounds` takes any pair.

    Reference:
        C. Atkinson and A. F. S. Mitchell, Rao's distance measure, Sankhyā A 43, 1981.

    Example:
        >>> from kullback import Gaussian, fisher_rao
        >>> round(float(fisher_rao(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([0.0], [2.718281828459045]))), 6)
        1.414214
    """
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        raise NoClosedForm(
            f"the Fisher–Rao distance of {p.scale.parameterization} and {q.scale.parameterization} Gaussians has no "
            "closed form in general. Proved bounds: fisher_rao_bounds(p, q). Diagonal Gaussians have one."
        )
    components, dims = _components(p, q), tuple(range(-1 - len(p.event_shape), 0))
    distance = components.square().sum(dims) if squared else length(components, dims)
    return distance.to(p.mean.dtype)


def _components(p: Gaussian, q: Gaussian) -> Tensor:
    """Two numbers for each axis, whose squares sum to its squared distance: smooth, also where that is 0.

    In float64: the distance is a logarithm, and what it is one of leaves float32 where nothing else does.
    """
    pair: DiagonalPair = diagonal_pair(*_doubled(p, q))
    from_means, from_scales = pair.hyperbolic()
    both = torch.stack(torch.broadcast_tensors(from_means, from_scales), -1)
    return 2.0 * math.sqrt(2.0) * both * asinh_ratio(both).unsqueeze(-1)


@public
def fisher_rao_bounds(p: Gaussian, q: Gaussian) -> Bounds:
    r"""Proved bounds on the Fisher–Rao distance of any two Gaussians, in the metric
    :math:`d\mu^\top \Sigma^{-1} d\mu + \tfrac12 \operatorname{tr} (\Sigma^{-1} d\Sigma)^2`.

    Below, the distance of the embedding into positive definite matrices of order d + 1,

    .. math:: (\mu, \Sigma) \mapsto \begin{pmatrix} \Sigma + \mu\mu^\top & \mu \\ \mu^\top & 1 \end{pmatrix} ,

    which preserves the metric, so that no path between Gaussians is shorter. Above, the shortest of three paths: the
    mean moved at p's covariance and the covariance changed, the same at q's, and the one whose length is at most the
    square root of the Jeffreys divergence. Exact for equal means; for diagonal pairs both are :func:`fisher_rao`.

    Returns:
        ``Bounds(lower, upper)``.

    Reference:
        M. Calvo and J. M. Oller, A distance between multivariate normal distributions based in an embedding into the
        Siegel group, Journal of Multivariate Analysis 35, 1990.
        F. Nielsen, A simple approximation method for the Fisher–Rao distance between multivariate normal
        distributions, Entropy 25, 2023.

    Example:
        >>> from kullback import Gaussian, fisher_rao_bounds
        >>> p = Gaussian.from_covariance([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]])
        >>> lower, upper = fisher_rao_bounds(p, Gaussian.standard(2))
        >>> round(float(lower), 6), round(float(upper), 6)
        (0.567827, 0.567827)
    """
    if p.scale.is_diagonal and q.scale.is_diagonal:
        components, dims = _components(p, q), tuple(range(-1 - len(p.event_shape), 0))
        distance = length(components, dims).to(p.mean.dtype)
        return Bounds(distance, distance)
    dtype = p.mean.dtype
    p, q = _doubled(p, q)
    pair = full_pair(p, q)
    factor, excess, y = torch.broadcast_tensors(pair.factor.matrix(), pair.factor.excess(), pair.whitened.unsqueeze(-1))
    y = y[..., :1]
    zero, one = torch.zeros_like(y[..., :1, :]), torch.ones_like(y[..., :1, :])
    embedded = torch.cat([torch.cat([excess + y @ y.mT, y], -1), torch.cat([y.mT, zero], -1)], -2)
    embedded_factor = torch.cat([torch.cat([factor, y], -1), torch.cat([zero.expand_as(y).mT, one], -1)], -2)
    lower = square_root(_half_square_of_logs(embedded, embedded_factor))
    at_equal_means = square_root(_half_square_of_logs(excess, factor))
    seen_from_p = solve_lower(factor, y)
    moved = torch.minimum(*(_translation(x.squeeze(-1)) for x in (y, seen_from_p)))
    there, back = make_pair(p, q), make_pair(q, p)
    jeffreys = jeffreys_terms(there, back)
    upper = torch.minimum(at_equal_means + moved, square_root(jeffreys))
    # Rounding may cross what is equal: the lower bound of equal means is the upper one.
    return Bounds(torch.minimum(lower, upper).to(dtype), upper.to(dtype))


def _doubled(p: Gaussian, q: Gaussian) -> list[Gaussian]:
    return [g.cast(torch.float64, g.mean.device) for g in (p, q)]


def _translation(y: Tensor) -> Tensor:
    """The distance between means that are y apart in units of the common covariance."""
    return length(y * asinh_ratio(y / math.sqrt(8.0)).unsqueeze(-1), (-1,))


def _half_square_of_logs(excess: Tensor, factor: Tensor) -> Tensor:
    """½ Σ log²(1 + λ) over the eigenvalues λ of the excess, I + X being factor factorᵀ. The eigenvectors carry no
    derivatives: the first and second ones have closed forms in them.

    With h(λ) = ½ log²(1 + λ), the eigenvectors U of X, and E = Uᵀ dX U, the expansion to second order is

        tr h(X + dX) = Σᵢ h(λᵢ) + Σᵢ h'(λᵢ) Eᵢᵢ + ½ Σᵢⱼ [(h'(λᵢ) - h'(λⱼ)) / (λᵢ - λⱼ)] Eᵢⱼ² ,

    where the quotient of equal eigenvalues is h''(λᵢ). The value of ``change``, dX, is 0, and it has the derivatives
    of X.
    """
    fixed, basis, logs = _spectrum(excess.detach(), factor.detach())
    first = logs * torch.exp(-logs)  # log(1 + λ) / (1 + λ), the derivative
    apart = fixed.unsqueeze(-1) - fixed.unsqueeze(-2)
    middle = 0.5 * (logs.unsqueeze(-1) + logs.unsqueeze(-2))
    close = apart.abs() < _CLOSE * torch.exp(middle)
    slopes = torch.where(
        close,
        (1.0 - middle) * torch.exp(-2.0 * middle),
        (first.unsqueeze(-1) - first.unsqueeze(-2)) / torch.where(close, 1.0, apart),
    )
    change = excess - excess.detach()
    gradient = (basis * first.unsqueeze(-2)) @ basis.mT
    bent = basis @ (slopes * (basis.mT @ change @ basis)) @ basis.mT
    return 0.5 * logs.square().sum(-1) + ((gradient + 0.5 * bent) * change).sum((-2, -1))


def _spectrum(excess: Tensor, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues and -vectors of the excess, and log(1 + λ): near I from it, else from the singular values."""
    near = torch.linalg.matrix_norm(excess) < _NEAR
    eigenvalues, basis = torch.linalg.eigh(finite_or_zero(excess))
    u, s, _ = torch.linalg.svd(finite_or_zero(factor))
    gate = near.unsqueeze(-1)
    logs = torch.where(gate, torch.log1p(torch.where(gate, eigenvalues, 0.0)), 2.0 * torch.log(s))
    invalid = ~torch.isfinite(excess).all(-1).all(-1)
    logs = torch.where(invalid.unsqueeze(-1), torch.nan, logs)
    return torch.where(gate, eigenvalues, s * s - 1.0), torch.where(gate.unsqueeze(-1), basis, u), logs
