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

from kullback.numerics.elementary import half_phi, log_ratio
from kullback.numerics.gradients import with_value
from kullback.numerics.linear_algebra import (
    cholesky,
    finite_or_zero,
    identity_like,
    lower_factor,
    solve_lower,
    solve_lower_vector,
    whitened,
)
from kullback.numerics.rows import replaced
from kullback.pairs.base import GaussianPair

# Up to this Frobenius norm of E a Newton step improves on the difference of the factors. Both agree around it.
_NEAR = 0.5

# The norm of N is at most that of E over √2 (1 − ‖E‖).
_NEAR_FACTOR = 0.75

# Up to this ratio of the mean eigenvalue of (1 − α)(I + E) to α, below which none of the sum is, the sum is formed.
_LARGE = 16.0


@dataclass(frozen=True, eq=False)
class Factor:
    """A lower triangular matrix I + N, represented by its logarithmic diagonal and its strict lower triangle."""

    log_diagonal: Tensor  # twice the logarithm of the diagonal
    strict: Tensor  # what is below the diagonal

    def covariance_term(self) -> Tensor:
        """½[tr X − log det(I + X)] of the product I + X of the factor and its transpose: a sum of positive terms."""
        return half_phi(self.log_diagonal).sum(-1) + 0.5 * self.strict.square().sum((-2, -1))

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

    def detach(self) -> "Factor":
        """The same factor, cut off from the graph of gradients."""
        return Factor(self.log_diagonal.detach(), self.strict.detach())

    def logarithmic(self) -> Tensor:
        """Both parts in one matrix."""
        return self.log_diagonal.diag_embed() + self.strict

    @classmethod
    def of_tril(cls, matrix: Tensor) -> "Factor":
        """The factor I + N itself."""
        return cls(2.0 * matrix.diagonal(dim1=-2, dim2=-1).log(), matrix.tril(-1))

    @classmethod
    def of_logarithmic(cls, matrix: Tensor) -> "Factor":
        """The factor of such a matrix."""
        return cls(matrix.diagonal(dim1=-2, dim2=-1), matrix.tril(-1))

    def with_value(self, logarithmic: Tensor) -> "Factor":
        """This factor's derivatives with the value of another one, in logarithmic form."""
        value = Factor.of_logarithmic(logarithmic)
        return Factor(with_value(self.log_diagonal, value.log_diagonal), with_value(self.strict, value.strict))


def relative_factor(factor_p: Tensor, factor_q: Tensor, difference: Tensor | None) -> Factor:
    """The Cholesky factor of L_q⁻¹ Σp L_q⁻ᵀ; corrected by ``difference``, Σp − Σq, if the factors are not exact."""
    log_diagonal = 2.0 * log_ratio(factor_p.diagonal(dim1=-2, dim2=-1), factor_q.diagonal(dim1=-2, dim2=-1))
    factor = Factor(log_diagonal, solve_lower(factor_q, factor_p - factor_q).tril(-1))
    if difference is None:
        return factor

    def corrected(logarithmic: Tensor, difference: Tensor, factor_q: Tensor) -> Tensor:
        return _corrected(logarithmic, whitened(difference, factor_q))

    plain = factor.detach()
    perhaps_near = torch.linalg.matrix_norm(plain.minus_identity()) < _NEAR_FACTOR
    value = plain.logarithmic()
    return factor.with_value(replaced(value, perhaps_near, corrected, value, difference.detach(), factor_q.detach()))


def factor_of_excess(excess: Tensor) -> Factor:
    """The Cholesky factor of I + X, accurate to the last digits of X however small X is."""
    factor = Factor.of_tril(cholesky(identity_like(excess) + excess))
    value = factor.detach().logarithmic()
    return factor.with_value(replaced(value, is_near(excess), _corrected, value, excess.detach()))


def _corrected(logarithmic: Tensor, excess: Tensor) -> Tensor:
    """A factor in logarithmic form, corrected by a Newton step where ``excess`` is small."""
    gate = is_near(excess)[..., None, None]
    n = Factor.of_logarithmic(torch.where(gate, logarithmic, 0.0)).minus_identity()
    n = _newton(n, torch.where(gate, excess, 0.0))
    value = Factor(2.0 * torch.log1p(n.diagonal(dim1=-2, dim2=-1)), n.tril(-1))
    return torch.where(gate, value.logarithmic(), logarithmic)


def is_near(excess: Tensor) -> Tensor:
    """Whether each matrix X is small."""
    near: Tensor = torch.linalg.matrix_norm(excess.detach()) < _NEAR
    return near


def _newton(n: Tensor, excess: Tensor) -> Tensor:
    """One Newton step towards the N with N + Nᵀ + N Nᵀ equal to ``excess``."""
    factor = identity_like(n) + n
    rest = whitened(excess - (n + n.mT) - n @ n.mT, factor)
    return n + factor @ _lower_half(rest)


def _lower_half(matrix: Tensor) -> Tensor:
    """The lower triangle with half of the diagonal: this plus its transpose is the symmetric matrix."""
    return matrix.tril(-1) + 0.5 * matrix.diagonal(dim1=-2, dim2=-1).diag_embed()


@dataclass(frozen=True, eq=False)
class FullPair(GaussianPair):
    """A pair of full covariances by the relative factor, and the whitened difference of the means."""

    factor: Factor
    whitened: Tensor

    def covariance_term(self) -> Tensor:
        """The covariance term of the relative factor."""
        return self.factor.covariance_term()

    def half_trace(self) -> Tensor:
        """Half of the squared norm of the factor."""
        return 0.5 * (torch.exp(self.factor.log_diagonal).sum(-1) + self.factor.strict.square().sum((-2, -1)))

    def mean_term(self) -> Tensor:
        """Half of the squared length."""
        return (self.whitened * (0.5 * self.whitened)).sum(-1)

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        r"""The gap from the excesses over the Gaussian m between, both positive:
        :math:`K(p|m) + \tfrac{\alpha}{1-\alpha} K(q|m)`, K as ``covariance_term``; for :math:`\alpha > 1` as
        :math:`K(p|q) + \tfrac1{\alpha-1} K(m|q)`. The square by the factor of m.
        """
        beta = 1.0 - alpha
        if alpha > 1.0:
            excess = self.factor.excess()
            inside = _is_positive(beta * excess)
            middle = factor_of_excess(torch.where(inside[..., None, None], beta * excess, 0.0))
            gap = self.covariance_term() - middle.covariance_term() / beta
            return torch.where(inside | gap.isnan(), gap, torch.inf), self._mean_term_in(middle.matrix())
        middle = self._between(alpha)
        matrix, n = middle.matrix(), middle.minus_identity()
        # As m sees them, p and q have the factors M⁻¹(I + N) and M⁻¹: triangular, too.
        from_p = solve_lower(matrix, self.factor.minus_identity() - n).tril(-1)
        from_q = solve_lower(matrix, n).tril(-1)
        p_seen = Factor(self.factor.log_diagonal - middle.log_diagonal, from_p)
        q_seen = Factor(-middle.log_diagonal, from_q)
        return p_seen.covariance_term() + (alpha / beta) * q_seen.covariance_term(), self._mean_term_in(matrix)

    def _mean_term_in(self, factor: Tensor) -> Tensor:
        y = solve_lower_vector(factor, self.whitened)
        return (y * (0.5 * y)).sum(-1)

    def _between(self, alpha: float) -> Factor:
        """The factor of αI + (1 − α)(I + E): of I + (1 − α)E, or where that is large by orthogonal transformations,
        since a product of factors squares their condition.
        """
        matrix, n, beta = self.factor.matrix(), self.factor.minus_identity(), 1.0 - alpha
        trace, size = matrix.detach().square().sum((-2, -1)), torch.linalg.matrix_norm(n.detach())
        near = beta * (2.0 * size + size.square()) < _NEAR
        large = ~(near | (beta * trace < alpha * _LARGE * matrix.shape[-1]))
        n = torch.where(large[..., None, None], 0.0, n)
        excess = beta * (n + n.mT + n @ n.mT)

        def by_rows(matrix: Tensor) -> Tensor:
            rows = beta**0.5 * matrix.mT
            stacked = torch.cat([alpha**0.5 * identity_like(rows).expand_as(rows), rows], -2)
            return Factor.of_tril(lower_factor(finite_or_zero(stacked))).logarithmic()

        return Factor.of_logarithmic(replaced(factor_of_excess(excess).logarithmic(), large, by_rows, matrix))


@dataclass(frozen=True, eq=False)
class PrecisionPair(GaussianPair):
    """A pair of precisions: their scales are those of the covariances Λq and Λp, p and q exchanged."""

    scales: GaussianPair
    means: GaussianPair  # the pair itself, by factors of the covariances

    def covariance_term(self) -> Tensor:
        """That of the exchanged precisions."""
        return self.scales.covariance_term()

    def half_trace(self) -> Tensor:
        """That of the exchanged precisions."""
        return self.scales.half_trace()

    def mean_term(self) -> Tensor:
        """That of the factors of the covariances."""
        return self.means.mean_term()

    def between(self, alpha: float) -> tuple[Tensor, Tensor]:
        """The gap of the exchanged precisions, the square of the factors."""
        return self.scales.between(alpha)[0], self.means.between(alpha)[1]


def _is_positive(excess: Tensor) -> Tensor:
    """Whether each I + X is positive definite."""
    x = excess.detach()
    positive: Tensor = torch.linalg.cholesky_ex(identity_like(x) + x).info == 0
    return positive
