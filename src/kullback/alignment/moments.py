r"""The moments of two batches that determine the mean divergence after any map, for a diagonal q.

With the weights :math:`w_{ik} = 1/\sigma^2_{q,ik}`, and with means as columns :math:`\tilde m = (m, 1)` that a constant
completes, they are for each coordinate k of q

.. math:: M_k = \mathrm{mean}_i\, w_{ik} (\tilde\Sigma_{p,i} + \tilde m_{p,i} \tilde m_{p,i}^\top), \qquad
          b_k = \mathrm{mean}_i\, w_{ik}\, m_{q,ik}\, \tilde m_{p,i} .

Means are taken from an origin near them, so that large means lose no digits.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian

# How many products of two coordinates are formed at a time.
_PRODUCTS_PER_BATCH = 2**19


@dataclass(frozen=True, eq=False)
class Moments:
    """Mergeable: the moments of all rows are those of parts, whatever the parts and their order."""

    count: int
    origin_p: Tensor
    origin_q: Tensor
    second: Tensor  # (d, (d + 1)(d + 2) / 2): the lower triangle of each M_k
    linear: Tensor  # (d, d + 1): each b_k

    @classmethod
    def of(cls, p: Gaussian, q: Gaussian, origins: tuple[Tensor, Tensor] | None = None) -> "Moments":
        """The moments of rows ``(N, d)``, in float64 on the CPU; q is diagonal.

        Parts that are given the same origins are merged at once; without any, they are the means of the rows.
        """
        origin_p, origin_q = origins or (p.mean.mean(0), q.mean.mean(0))
        d = len(origin_p)
        i, j = torch.tril_indices(d + 1, d + 1, device="cpu")
        second, linear = p.mean.new_zeros(d, len(i)), p.mean.new_zeros(d, d + 1)
        size = max(1, _PRODUCTS_PER_BATCH // len(i))
        for start in range(0, len(p), size):
            source, target = p[start : start + size], q[start : start + size]
            variance = target.flat_parameters("variance")[1]
            x = torch.cat([source.mean - origin_p, torch.ones_like(source.mean[:, :1])], 1)
            products = x[:, i] * x[:, j]
            if source.scale.is_diagonal:
                products[:, _diagonal(d)] += source.flat_parameters("variance")[1]
            else:
                inner = i < d
                products[:, inner] += source.covariance_matrix[:, i[inner], j[inner]]
            second += (1.0 / variance).mT @ products
            linear += ((target.mean - origin_q) / variance).mT @ x
        count = max(1, len(p))
        return cls(len(p), origin_p, origin_q, second / count, linear / count)

    def merge(self, other: "Moments") -> "Moments":
        """The moments of the rows of both."""
        if not self.count or not other.count:
            return self if self.count else other
        other = other._from_origin(self.origin_p, self.origin_q)
        count = self.count + other.count
        a, b = self.count / count, other.count / count
        return Moments(
            count, self.origin_p, self.origin_q, a * self.second + b * other.second, a * self.linear + b * other.linear
        )

    def matrices(self) -> Tensor:
        """Each M_k in full: ``(d, d + 1, d + 1)``."""
        d = len(self.second)
        i, j = torch.tril_indices(d + 1, d + 1, device="cpu")
        full = self.second.new_empty(d, d + 1, d + 1)
        full[:, i, j] = full[:, j, i] = self.second
        return full

    def _from_origin(self, origin_p: Tensor, origin_q: Tensor) -> "Moments":
        if torch.equal(self.origin_p, origin_p) and torch.equal(self.origin_q, origin_q):
            return self
        d = len(origin_p)
        i, j = torch.tril_indices(d + 1, d + 1, device="cpu")
        move = torch.eye(d + 1, dtype=torch.float64, device="cpu")
        move[:d, d] = self.origin_p - origin_p
        matrices = move @ self.matrices() @ move.mT
        linear = self.linear @ move.mT + (self.origin_q - origin_q)[:, None] * matrices[:, :, d]
        return Moments(self.count, origin_p, origin_q, matrices[:, i, j], linear)


def _diagonal(d: int) -> Tensor:
    """Where the first d entries of the diagonal lie in a lower triangle that is stored row by row."""
    k = torch.arange(d, device="cpu")
    return k * (k + 3) // 2
