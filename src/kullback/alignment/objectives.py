r"""The mean over rows of KL(g·p‖q), as a function of the map g: what every kind of alignment minimizes.

For the map :math:`x \mapsto A x + b` it is, with :math:`P = \Sigma_q^{-1}`, up to a constant

.. math:: \tfrac12 \mathrm{mean}_i \left[\operatorname{tr}(P_i A \Sigma_{p,i} A^\top) + z_i^\top P_i z_i\right]
          - \log |\det A| , \qquad z_i = A m_{p,i} + b - m_{q,i} .

An objective leaves out the determinant, which is 1 for orthogonal maps. Means are taken from an origin near them;
``offset`` is :math:`b + A o_p - o_q`, the shift between the origins.
"""

import abc
import functools

import torch
from torch import Tensor

from kullback.alignment.moments import Moments
from kullback.alignment.rows import Rows
from kullback.gaussians.gaussian import Gaussian

# Up to this number of coordinates the d moments of d x d numbers serve any number of rows; above it, they would take
# more memory and time than the rows themselves.
_MAX_MOMENTS = 256

# How many rows and how many products of moments are formed at most, and how many numbers the matrices of all rows may
# hold. Beyond that, some of the rows are used: more than suffice to determine a map.
_MAX_ROWS = 2**18
_MAX_PRODUCTS = 2**37
_MAX_MATRIX_NUMBERS = 2**24

# Optimizers square derivatives and add the squares.
_MAX_VALUE = 1e140


class Objective(abc.ABC):
    """The mean divergence of some rows after a map."""

    origin_p: Tensor
    origin_q: Tensor
    count: int

    @property
    def dimensions(self) -> int:
        """The number of coordinates."""
        return len(self.origin_p)

    @functools.cached_property
    def overflows(self) -> bool:
        """Whether squares of the objective or of its derivatives are too large for a float64, or they are NaN."""
        zero = torch.zeros(2 * (self.dimensions,), dtype=torch.float64, device="cpu")
        return not all(bool((x.abs() < _MAX_VALUE).all()) for x in (*self.linear(zero), self.curvatures()))

    @abc.abstractmethod
    def value_and_gradients(self, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The objective, and its derivatives with respect to the matrix and to the offset."""

    @abc.abstractmethod
    def curvatures(self) -> Tensor:
        """The second derivatives with respect to each entry of the matrix alone, ``(d, d)``."""

    @abc.abstractmethod
    def scales(self) -> tuple[Tensor, Tensor]:
        """The covariance of points of all p's, and the mean precision of each coordinate of the q's."""

    @functools.cached_property
    def root_precisions(self) -> Tensor:
        """The square roots of the mean precisions: offsets times them change all terms alike."""
        return self.scales()[1].sqrt()

    def linear(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        """The objective of a map without a shift, and its derivative."""
        value, gradient, by_offset = self.value_and_gradients(matrix, matrix @ self.origin_p - self.origin_q)
        return value, gradient + by_offset[:, None] * self.origin_p


class FromMoments(Objective):
    """For diagonal q, from moments: the time of a step does not depend on the number of rows."""

    def __init__(self, moments: Moments) -> None:
        self.origin_p, self.origin_q, self.count = moments.origin_p, moments.origin_q, moments.count
        self._second, self._linear = moments.matrices(), moments.linear

    def value_and_gradients(self, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By the d products of a matrix with a vector."""
        rows = torch.cat([matrix, offset[:, None]], 1)
        product = torch.bmm(self._second, rows[:, :, None])[:, :, 0]
        gradient = product - self._linear
        return 0.5 * (rows * (gradient - self._linear)).sum(), gradient[:, :-1], gradient[:, -1]

    def curvatures(self) -> Tensor:
        """About the origins of the data, as all second derivatives are."""
        second, o = self._second[:, :-1], self.origin_p
        return second.diagonal(dim1=1, dim2=2) + 2 * o * second[:, :, -1] + o.square() * self._second[:, -1, -1:]

    def scales(self) -> tuple[Tensor, Tensor]:
        """The average of those that the weights of each coordinate give."""
        weights = self._second[:, -1, -1]
        scaled = self._second / weights[:, None, None]
        mean = scaled[:, :-1, -1]
        return (scaled[:, :-1, :-1] - mean[:, :, None] * mean[:, None, :]).mean(0), weights


class FromDiagonalRows(Objective):
    """For diagonal p and q, from the rows."""

    def __init__(self, p: Gaussian, q: Gaussian) -> None:
        self.origin_p, self.origin_q, self.count = p.mean.mean(0), q.mean.mean(0), len(p)
        self._x, self._y = p.mean - self.origin_p, q.mean - self.origin_q
        self._weights = 1.0 / q.flat_parameters("variance")[1]
        self._variances = self._weights.mT @ p.flat_parameters("variance")[1] / len(p)
        self._spread = p.flat_parameters("variance")[1].mean(0)

    def value_and_gradients(self, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By two products of the rows with the matrix."""
        z = self._x @ matrix.mT + offset - self._y
        weighted = self._weights * z
        by_variances = self._variances * matrix
        value = 0.5 * (weighted * z).sum() / self.count + 0.5 * (by_variances * matrix).sum()
        return value, weighted.mT @ self._x / self.count + by_variances, weighted.mean(0)

    def curvatures(self) -> Tensor:
        """By one product of the weights with the squares of the means."""
        return self._variances + self._weights.mT @ (self._x + self.origin_p).square() / self.count

    def scales(self) -> tuple[Tensor, Tensor]:
        """Of the rows."""
        return self._x.mT @ self._x / self.count + self._spread.diag_embed(), self._weights.mean(0)


class FromRows(Objective):
    """For any kind of p and q, from the matrices of the rows."""

    def __init__(self, p: Gaussian, q: Gaussian) -> None:
        self.origin_p, self.origin_q, self.count = p.mean.mean(0), q.mean.mean(0), len(p)
        self._x, self._y = p.mean - self.origin_p, q.mean - self.origin_q
        self._covariances, self._precisions = p.covariance_matrix, q.precision_matrix
        # Side by side, so that a sum over rows is one product of matrices.
        self._wide_precisions = self._precisions.permute(1, 0, 2).reshape(self.dimensions, -1)

    def value_and_gradients(self, matrix: Tensor, offset: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """By two products of matrices for each row."""
        z = self._x @ matrix.mT + offset - self._y
        weighted = torch.bmm(self._precisions, z[:, :, None])[:, :, 0]
        moved = (matrix @ self._covariances).reshape(-1, self.dimensions)
        by_covariances = self._wide_precisions @ moved / self.count
        value = 0.5 * (weighted * z).sum() / self.count + 0.5 * (by_covariances * matrix).sum()
        return value, weighted.mT @ self._x / self.count + by_covariances, weighted.mean(0)

    def curvatures(self) -> Tensor:
        """Of the diagonals of the matrices."""
        x = self._x + self.origin_p
        precisions, covariances = (m.diagonal(dim1=1, dim2=2) for m in (self._precisions, self._covariances))
        return precisions.mT @ (covariances + x.square()) / self.count

    def scales(self) -> tuple[Tensor, Tensor]:
        """Of the rows."""
        covariance = self._covariances.mean(0) + self._x.mT @ self._x / self.count
        return covariance, self._precisions.diagonal(dim1=1, dim2=2).mean(0)


def rows_of_moments(q: Gaussian) -> int:
    """How many rows suffice for the moments that a map is fitted to; 0 if a map is fitted to rows."""
    d = q.event_size
    return max(16 * d, min(_MAX_ROWS, _MAX_PRODUCTS // d**3)) if q.scale.is_diagonal and d <= _MAX_MOMENTS else 0


def objective(p: Rows, q: Rows) -> Objective:
    """The objective of pairs of rows, from as many of the first rows as suffice."""
    d = p.dimensions
    n = rows_of_moments(q.gaussian)
    if n:
        parts = zip(p.first(n).parts(), q.first(n).parts(), strict=True)
        return FromMoments(functools.reduce(Moments.merge, (Moments.of(*pair) for pair in parts)))
    if p.gaussian.scale.is_diagonal and q.gaussian.scale.is_diagonal:
        n = 8 * d
        return FromDiagonalRows(p.first(n).converted(), q.first(n).converted())
    n = max(64, _MAX_MATRIX_NUMBERS // d**2)
    return FromRows(p.first(n).converted(), q.first(n).converted())
