r"""Pairs of full covariances, through the relative Cholesky factor.

:math:`\Sigma_p` is :math:`(I + N)(I + N)^\top` in the coordinates in which :math:`\Sigma_q` is I, with
:math:`N = L_q^{-1}(L_p - L_q)`: no inverse, determinant, trace or eigensolver. Where covariances were given, N inherits
the rounding errors of two Cholesky factors, which is all there is of it as p approaches q. One Newton step on
:math:`N + N^\top + N N^\top = E = L_q^{-1}(\Sigma_p - \Sigma_q)L_q^{-\top}` removes them. Values are corrected so;
derivatives are those of the plain expression, which has nothing to cancel.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.linear_algebra import cholesky, identity_like, lower_factor, solve_lower, solve_lower_vector, whitened
from kullback.numerics import half_phi, log_ratio
from kullback.relative.base import Relative

# Up to this Frobenius norm of E a Newton step improves on the difference of the factors. Both agree around it.
_NEAR = 0.5

# A factor of I + X with a smaller diagonal has lost digits of X; then logarithms of determinants are the better form.
_SMALL_PIVOT = 0.3


@dataclass(frozen=True, eq=False)
class Factor:
    """A lower triangular matrix near or far from I, as what it differs by."""

    log_diagonal: Tensor  # twice the logarithm of the diagonal
    strict: Tensor  # what is below the diagonal

    def half_excess(self) -> Tensor:
        """½[tr X − log det(I + X)] of the matrix I + X that this is the factor of: a sum of positive terms."""
        return half_phi(self.log_diagonal).sum(-1) + 0.5 * self.strict.square().sum((-2, -1))

    def half_log_det(self) -> Tensor:
        """½ log det(I + X)."""
        return 0.5 * self.log_diagonal.sum(-1)

    def minus_identity(self) -> Tensor:
        """N."""
        return torch.expm1(0.5 * self.log_diagonal).diag_embed() + self.strict

    def matrix(self) -> Tensor:
        """I + N."""
        return torch.exp(0.5 * self.log_diagonal).diag_embed() + self.strict

    def excess(self) -> Tensor:
        """X = N + Nᵀ + NNᵀ."""
        n = self.minus_identity()
        return n + n.mT + n @ n.mT


def relative_factor(factor_p: Tensor, factor_q: Tensor, difference: Tensor | None) -> Factor:
    """The factor of p's covariance as seen from q; ``difference`` is Σp − Σq if that is what is exact."""
    n = solve_lower(factor_q, factor_p - factor_q)
    log_diagonal = 2.0 * log_ratio(factor_p.diagonal(dim1=-2, dim2=-1), factor_q.diagonal(dim1=-2, dim2=-1))
    factor = Factor(log_diagonal, n.tril(-1))
    if difference is None:
        return factor
    excess = whitened(difference.detach(), factor_q.detach())
    return _corrected(factor, n.detach().tril(), excess)


def factor_of_excess(excess: Tensor) -> Factor:
    """The factor of I + X, to the last digits of X however small that is."""
    plain = cholesky(identity_like(excess) + excess)
    diagonal = plain.diagonal(dim1=-2, dim2=-1)
    factor = Factor(2.0 * diagonal.log(), plain.tril(-1))
    return _corrected(factor, (plain - identity_like(plain)).detach(), excess.detach())


def _corrected(factor: Factor, n: Tensor, excess: Tensor) -> Factor:
    """The factor with the value that belongs to ``excess``, where that is small, and its own derivatives."""
    near = torch.linalg.matrix_norm(excess) < _NEAR
    gate = near[..., None, None]
    n, excess = torch.where(gate, n, 0.0), torch.where(gate, excess, 0.0)
    eye = identity_like(n)
    rest = whitened(excess - (n + n.mT + n @ n.mT), eye + n)
    n = n + (eye + n) @ (rest.tril(-1) + 0.5 * rest.diagonal(dim1=-2, dim2=-1).diag_embed())
    log_diagonal = 2.0 * torch.log1p(n.diagonal(dim1=-2, dim2=-1))
    return Factor(
        _with_value(factor.log_diagonal, log_diagonal, near[..., None]),
        _with_value(factor.strict, n.tril(-1), gate),
    )


def _with_value(x: Tensor, value: Tensor, where: Tensor) -> Tensor:
    kept = x.detach()
    return x - kept + torch.where(where, value, kept)


@dataclass(frozen=True, eq=False)
class Triangular(Relative):
    """A pair of full covariances by the relative factor, and the whitened difference of the means."""

    factor: Factor
    whitened: Tensor

    def half_excess(self) -> Tensor:
        """From the factor."""
        return self.factor.half_excess()

    def half_trace(self) -> Tensor:
        """Half of the squared norm of the factor."""
        return 0.5 * (torch.exp(self.factor.log_diagonal).sum(-1) + self.factor.strict.square().sum((-2, -1)))

    def half_square(self) -> Tensor:
        """Half of the squared length."""
        return (self.whitened * (0.5 * self.whitened)).sum(-1)

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        r"""The gap from the excesses over the Gaussian m between, both positive:
        :math:`K(p|m) + \tfrac{\alpha}{1-\alpha} K(q|m)`, K as ``half_excess``; for :math:`\alpha > 1` as
        :math:`K(p|q) + \tfrac1{\alpha-1} K(m|q)`. The square by the factor of m.
        """
        beta = 1.0 - alpha
        excess = self.factor.excess()
        if alpha > 1.0:
            inside = _is_positive(beta * excess)
            middle = factor_of_excess(torch.where(inside[..., None, None], beta * excess, 0.0))
            gap = self.half_excess() - middle.half_excess() / beta
            return torch.where(inside | gap.isnan(), gap, torch.inf), self._half_square_in(middle.matrix())
        near = self.near[..., None, None]
        middle = self._between(excess, near, alpha)
        matrix = middle.matrix()
        by_excess = whitened(torch.where(near, excess, 0.0), matrix)
        p_seen, q_seen = (solve_lower(matrix, x) for x in (self.factor.matrix(), identity_like(excess)))
        seen = torch.where(near, by_excess, p_seen @ p_seen.mT - q_seen @ q_seen.mT)
        from_p = _half_excess(alpha * seen, self.factor.half_log_det() - middle.half_log_det())
        from_q = _half_excess(-beta * seen, -middle.half_log_det())
        return from_p + (alpha / beta) * from_q, self._half_square_in(matrix)

    def _half_square_in(self, factor: Tensor) -> Tensor:
        y = solve_lower_vector(factor, self.whitened)
        return (y * (0.5 * y)).sum(-1)

    @property
    def near(self) -> Tensor:
        """Is E small, for each matrix?"""
        close: Tensor = torch.linalg.matrix_norm(self.factor.excess().detach()) < _NEAR
        return close

    def _between(self, excess: Tensor, near: Tensor, alpha: float) -> Factor:
        """The factor of αI + (1 − α)(I + E): from E where that is small; elsewhere by orthogonal transformations, since
        a product of factors squares their condition.
        """
        beta = 1.0 - alpha
        by_excess = factor_of_excess(torch.where(near, beta * excess, 0.0))
        matrix = self.factor.matrix()
        stacked = torch.cat([alpha**0.5 * identity_like(matrix).expand_as(matrix), beta**0.5 * matrix.mT], -2)
        far = lower_factor(torch.where(stacked.isnan(), 0.0, stacked))
        log_diagonal = 2.0 * far.diagonal(dim1=-2, dim2=-1).log()
        return Factor(
            torch.where(near[..., 0], by_excess.log_diagonal, log_diagonal),
            torch.where(near, by_excess.strict, far.tril(-1)),
        )


@dataclass(frozen=True, eq=False)
class Mirrored(Relative):
    """A pair of precisions: their scales are those of the covariances Λq and Λp, p and q exchanged."""

    scales: Relative
    means: Relative  # the pair itself, by factors of the covariances

    def half_excess(self) -> Tensor:
        """Of the scales."""
        return self.scales.half_excess()

    def half_trace(self) -> Tensor:
        """Of the scales."""
        return self.scales.half_trace()

    def half_square(self) -> Tensor:
        """Of the means."""
        return self.means.half_square()

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """The gap of the scales, the square of the means."""
        return self.scales.between(alpha)[0], self.means.between(alpha)[1]


def _is_positive(excess: Tensor) -> Tensor:
    """Is I + X positive definite?"""
    x = excess.detach()
    positive: Tensor = torch.linalg.cholesky_ex(identity_like(x) + x).info == 0
    return positive


def _half_excess(excess: Tensor, half_log_det: Tensor) -> Tensor:
    """½[tr X − log det(I + X)]: by the factor of I + X, unless digits of X were lost where that is nearly singular."""
    x = excess.detach()
    eye = identity_like(x)
    factor, info = torch.linalg.cholesky_ex(eye + x)
    near = (info == 0) & (factor.diagonal(dim1=-2, dim2=-1).amin(-1) > _SMALL_PIVOT)
    by_factor = factor_of_excess(torch.where(near[..., None, None], excess, 0.0)).half_excess()
    by_determinant = 0.5 * excess.diagonal(dim1=-2, dim2=-1).sum(-1) - half_log_det
    return torch.where(near, by_factor, by_determinant)
