r"""Distances of all pairs of full covariances without a decomposition for a pair, with bounds of the rounding error.

What depends on one Gaussian is computed once. For a pair there remain a few operations on numbers, on whole tiles of
pairs, in float64. These formulas cancel near p = q, and for narrow covariances. Therefore their rounding error is
bounded, and an entry that is small compared with the bound is computed again by the exact formula.

The Bhattacharyya distance takes one elimination of the mean of the covariances, bordered by the difference of the
means: the pivots give the determinant, the border the Mahalanobis distance.

The 2-Wasserstein distance takes the sum t of the singular values of :math:`L_q^\top L_p`. Up to three coordinates it is
the fixed point of

.. math:: t = \sqrt{a + 2 s}, \quad s = \sqrt{b + 2 c t}, \qquad
    a = \langle \Sigma_p, \Sigma_q \rangle, \quad
    b = \langle \operatorname{cof} \Sigma_p, \operatorname{cof} \Sigma_q \rangle, \quad
    c = \sqrt{\det \Sigma_p \det \Sigma_q} ,

because :math:`a = \sum \sigma_i^2`, :math:`b = \sum_{i<j} \sigma_i^2 \sigma_j^2`, :math:`c = \sigma_1 \sigma_2
\sigma_3`, and s is the sum of the :math:`\sigma_i \sigma_j`. The derivative of the right side is at most 1/9.
"""

import abc
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.matrix import Precision
from kullback.numerics.guard import is_concrete
from kullback.numerics.linear_algebra import identity_like, solve_lower
from kullback.pairs.base import have_densities

# Pairs, and elements of their matrices, that are computed at once: small ones stay in the cache.
_PAIRS, _ELEMENTS = 2**14, 2**21

# The relative error that a result of each dtype may have before it is rounded to it.
_TOLERANCE = {torch.float32: 1e-7, torch.float64: 2e-12}

# The rounding errors that meet in one number, for each coordinate.
_ROUNDINGS = 4

# Newton steps to the fixed point. Their start is off by a sixth at most, where the singular values are equal.
_STEPS = 3

# Between these the powers of a norm stay within the range of float64.
_SMALLEST, _LARGEST = 1e-70, 1e70


@dataclass(frozen=True, eq=False)
class _Matrices:
    """A batch of n Gaussians of d coordinates in float64."""

    mean: Tensor  # (n, d)
    covariance: Tensor  # (n, d, d)
    factor: Tensor  # lower triangular
    rounding: Tensor  # (n,), of the covariance's norm: its rounding error is this, times the unit roundoff

    @classmethod
    def of(cls, g: Gaussian) -> "_Matrices":
        g = g.cast(torch.float64, g.device)
        n, d, event = len(g), g.event_size, g.event_shape
        mean = g.mean.expand(n, *event).reshape(n, d)
        covariance = g.scale.covariance_matrix(event).expand(n, d, d)
        rounding: Tensor = torch.linalg.matrix_norm(covariance)
        if isinstance(g.scale, Precision):  # which has been inverted
            rounding = rounding.square() * torch.linalg.matrix_norm(g.scale.precision())
        return cls(mean, covariance, g.scale.factor_matrix(event).expand(n, d, d), rounding)

    def narrowest(self) -> Tensor:
        """The inverse of the norm of the precision: at most the smallest eigenvalue of the covariance."""
        inverse = solve_lower(self.factor, identity_like(self.factor).expand_as(self.factor))
        norm: Tensor = torch.linalg.matrix_norm(inverse.mT @ inverse)
        return 1.0 / norm


class OnePass(abc.ABC):
    """The distances of two batches of Gaussians. What the two have of one kind is held as a pair."""

    most_coordinates: ClassVar[int]
    """Beyond these it saves no time, or there is no such form."""

    def __init__(self, both: tuple[_Matrices, _Matrices]) -> None:
        d = both[0].mean.shape[-1]
        self.pairs_at_once = min(_PAIRS, _ELEMENTS // d**2)
        self._ratio = _ROUNDINGS * d * torch.finfo(torch.float64).eps

    @abc.abstractmethod
    def distances(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """For these rows of p and all of q: the distances; the power of them that was computed; and a bound of the
        sizes of what that was added up from, of which it has the rounding error.
        """

    def screened(self, rows: slice, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The distances of these rows of p from all of q, and which are too inaccurate for a result of this dtype."""
        distances, power, size = self.distances(rows)
        return distances, ~(power > size.mul_(self._ratio / _TOLERANCE[dtype]))


def one_pass(form: type[OnePass], p: Gaussian, q: Gaussian) -> OnePass | None:
    """The form for two batches; None for diagonals, too many coordinates, or values that cannot be inspected."""
    diagonal = p.scale.is_diagonal and q.scale.is_diagonal
    if diagonal or not have_densities(p, q) or not 2 <= p.event_size <= form.most_coordinates:
        return None
    if not all(is_concrete(x) for g in (p, q) for x in g.tensors()):
        return None
    return form((_Matrices.of(p), _Matrices.of(q)))


class Bhattacharyya(OnePass):
    """By elimination."""

    most_coordinates = 64

    def __init__(self, both: tuple[_Matrices, _Matrices]) -> None:
        super().__init__(both)
        p, q = both
        self._matrices = _bordered(p.covariance, p.mean), _bordered(q.covariance, -q.mean)
        self._logs = tuple(0.5 * x.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1) for x in both)
        self._rounding = tuple(x.rounding for x in both)
        self._narrowest = tuple(x.narrowest() for x in both)
        self._condition = tuple(x.rounding / x.narrowest() for x in both)

    def distances(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The first power; its size is that of the logarithms, and of the condition of each of the covariances."""
        logs = _sum(self._logs, rows)
        log_determinant, square = _eliminated(*_crossed(self._matrices, rows))
        distances = log_determinant.mul_(0.5).sub_(logs).add_(square, alpha=0.125)
        between = _sum(self._rounding, rows).div_(_sum(self._narrowest, rows))
        size = between.mul_(square.add_(1.0)).add_(_sum(self._condition, rows)).add_(logs.abs_())
        return distances, distances, size


def _bordered(covariance: Tensor, border: Tensor) -> Tensor:
    """What a batch adds to the bordered matrices: ``(d + 1, d, n)``."""
    return torch.cat([0.5 * covariance, border.unsqueeze(-2)], -2).permute(1, 2, 0).contiguous()


def _eliminated(p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """The logarithms of the determinants, and the Mahalanobis squares of the borders, of sums of bordered matrices."""
    columns = [p[j:, j] + q[j:, j] for j in range(p.shape[1])]
    for j, column in enumerate(columns):
        for i, before in enumerate(columns[:j]):
            column.sub_(before[j - i :] * (before[j - i] / before[0]))
    log_determinant = torch.stack([column[0] for column in columns]).log_().sum(0)
    square = torch.stack([column[-1].square().div_(column[0]) for column in columns]).sum(0)
    return log_determinant, square


class Wasserstein2(OnePass):
    """By the invariants."""

    most_coordinates = 3

    def __init__(self, both: tuple[_Matrices, _Matrices]) -> None:
        super().__init__(both)
        self._means = tuple(x.mean for x in both)
        self._traces = tuple(x.covariance.diagonal(dim1=-2, dim2=-1).sum(-1) for x in both)
        factors = [torch.nn.functional.pad(x.factor, (0, 3 - x.factor.shape[-1]) * 2) for x in both]
        cofactors = [torch.linalg.cross(x.roll(-1, -2), x.roll(-2, -2)) for x in factors]
        self._covariances, self._cofactors = (tuple((x @ x.mT).flatten(1) for x in y) for y in (factors, cofactors))
        self._determinants = tuple(x.diagonal(dim1=-2, dim2=-1).prod(-1) for x in factors)
        self._sizes = tuple(
            torch.where((x.rounding > _SMALLEST) & (x.rounding < _LARGEST), x.rounding, torch.inf) for x in both
        )

    def distances(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The second power; its size is that of the traces, and of what t has of the invariants."""
        a, b = (x[rows] @ y.mT for x, y in (self._covariances, self._cofactors))
        s, t = _fixed_point(a, b, _product(self._determinants, rows))
        p, q = self._means
        means = torch.cdist(p[rows], q, compute_mode="donot_use_mm_for_euclid_dist").square_()
        square = _sum(self._traces, rows).sub_(t, alpha=2.0).add_(means)
        product = _product(self._sizes, rows)
        size = _sum(self._sizes, rows).add_((product / s).add_(1.0).mul_(product).div_(t))
        return square.sqrt(), square, size


def _fixed_point(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers s and t, by Newton's method."""
    s = b.sqrt()
    t = torch.add(a, s, alpha=2.0).sqrt_()
    for _ in range(_STEPS):
        torch.addcmul(b, c, t, value=2.0, out=s).sqrt_()
        right = torch.add(a, s, alpha=2.0).sqrt_()
        slope = (c / s).div_(right)
        t.add_((right - t).div_(1.0 - slope))
    return s, t


def _crossed(both: tuple[Tensor, ...], rows: slice) -> tuple[Tensor, Tensor]:
    """What the Gaussians of two batches have, ready to be combined for the pairs of these rows."""
    p, q = both
    return p[..., rows, None], q[..., None, :]


def _sum(both: tuple[Tensor, ...], rows: slice) -> Tensor:
    p, q = _crossed(both, rows)
    return p + q


def _product(both: tuple[Tensor, ...], rows: slice) -> Tensor:
    p, q = _crossed(both, rows)
    return p * q
