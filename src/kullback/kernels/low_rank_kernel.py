r"""Pairs of covariances :math:`D + W W^\top` by r × r matrices, each one product of the factors.

With :math:`C = I + W_q^\top D_q^{-1} W_q = L L^\top`, :math:`F = W_p - W_q`,
:math:`M = F - (D_p - D_q) D_q^{-1} W_q` and :math:`H = W_q^\top D_q^{-1} F`, twice the covariance term is

.. math:: \sum \varphi(\log D_p / D_q) + \sum_\lambda (\lambda - \log(1 + \lambda))
    + \operatorname{tr} F^\top D_q^{-1} F - \operatorname{tr} C^{-1} (M^\top D_p^{-1} M + H H^\top) ,

:math:`\lambda` the eigenvalues of
:math:`L^{-1} [H + H^\top + F^\top D_q^{-1} F - W_p^\top (D_q^{-1} - D_p^{-1}) W_p] L^{-\top}`. The first sum and the
distance of the means in units of :math:`D_q` are the divergence of two diagonals. Every term is of second order in the
differences. What still cancels is bounded, and rows where it may matter are left to the reference formula. These are
operations of torch, which differentiates them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.gaussians.scales.low_rank import LowRank
from kullback.gaussians.scales.stack import as_low_rank
from kullback.numerics.guard import unreadable_tensor
from kullback.numerics.linear_algebra import finite_or_zero, identity_like, solve_lower
from kullback.numerics.tensors import no_autocast
from kullback.pairs.dispatch import make_pair

# Elements of the factors that are multiplied at once: they stay in the cache.
_ELEMENTS = 2**18

# The smallest ratio of a divergence to the sizes of what it is added up from. A value would keep the digits that are
# promised down to 7/450, with seven rounding errors in each; derivatives lose them sooner.
_SMALLEST_RATIO = 0.1

# The largest squared norm of a column of a factor, in units of the standard deviations, whose derivatives are exact.
_LARGEST = 1e6

Divergence = Callable[[Gaussian, Gaussian], Tensor]


class LowRankKernel:
    """Pairs of low-rank covariances, or of one and a diagonal, in batches of equal shape on a CPU."""

    def unsupported_reason(self, p: Gaussian, q: Gaussian) -> str | None:
        """Why this cannot do it; None if it can."""
        kinds = {type(p.scale), type(q.scale)}
        if LowRank not in kinds or not kinds <= {LowRank, Diagonal}:
            return "not a pair of low-rank covariances, or of one and a diagonal"
        if p.event_shape != q.event_shape or p.batch_shape != q.batch_shape:
            return "shapes that differ"
        if any(isinstance(g.scale, LowRank) and not g.scale.rank for g in (p, q)) or not all(p.batch_shape):
            return "nothing to multiply"
        if not p.mean.is_cpu:
            # A GPU would have to be waited for, to learn which rows the reference formula computes.
            return f"tensors on {p.mean.device}"
        return unreadable_tensor([*p.tensors(), *q.tensors()])

    def kl(self, p: Gaussian, q: Gaussian, diagonal_kl: Divergence) -> Tensor:
        """The Kullback–Leibler divergence of each row, by that of diagonals."""
        batch = p.batch_shape
        if len(batch) != 1:
            p, q = (_as_rows(g) for g in (p, q))
        with no_autocast(p.mean.device):
            values, uncertain = _in_chunks(p, q, diagonal_kl)
            if bool(uncertain.any()):
                # By themselves: the derivatives of what overflows in one row would reach the others.
                certain, values = ~uncertain, values.detach()
                if bool(certain.any()):
                    values = values.masked_scatter(certain, _in_chunks(p[certain], q[certain], diagonal_kl)[0])
                values = values.masked_scatter(uncertain, make_pair(p[uncertain], q[uncertain]).kl())
        return values.reshape(batch)


def _in_chunks(p: Gaussian, q: Gaussian, diagonal_kl: Divergence) -> tuple[Tensor, Tensor]:
    size = p.event_size * max(as_low_rank(g.scale, g.event_shape).rank for g in (p, q))
    step = max(1, _ELEMENTS // size)
    chunks = [_of_chunk(p[i : i + step], q[i : i + step], diagonal_kl) for i in range(0, len(p), step)]
    values, uncertain = zip(*chunks, strict=True)
    return torch.cat(values), torch.cat(uncertain)


def _as_rows(g: Gaussian) -> Gaussian:
    """With one batch dimension."""
    batch = g.batch_shape

    def flat(x: Tensor, n: int) -> Tensor:
        event = x.shape[x.ndim - n :]
        return x.broadcast_to(batch + event).reshape(-1, *event)

    return Gaussian(flat(g.mean, 1), g.scale.map(flat), 1)


def _of_chunk(p: Gaussian, q: Gaussian, diagonal_kl: Divergence) -> tuple[Tensor, Tensor]:
    """The divergences, and which of them are not certain to be accurate."""
    scale_p, scale_q = (as_low_rank(g.scale, g.event_shape) for g in (p, q))
    rank = max(scale_p.rank, scale_q.rank)
    factor_p, factor_q = (x.padded(rank).factor for x in (scale_p, scale_q))
    own = diagonal_kl(*(g.with_scale(Diagonal(x.variance, "variance")) for g, x in ((p, scale_p), (q, scale_q))))
    inverse_p, inverse_q = (1.0 / x.variance.unsqueeze(-1) for x in (scale_p, scale_q))
    difference = (scale_p.variance - scale_q.variance).unsqueeze(-1)
    rho = difference * inverse_p
    f, whitened = factor_p - factor_q, factor_q * inverse_q
    m = torch.addcmul(f, difference, whitened, value=-1.0)
    gram, h, along = (_product(whitened, x) for x in (factor_q, f, (p.mean - q.mean).unsqueeze(-1)))
    f_square, m_square = _product(f, f * inverse_q), _product(m, m * inverse_p)
    grown = h + h.mT + f_square - _product(factor_p, factor_p * (rho * inverse_q))
    identity = identity_like(gram)
    factor = torch.linalg.cholesky_ex(identity + gram).L
    inverse = solve_lower(factor, identity.expand_as(factor))
    precision = inverse.mT @ inverse
    relative = inverse @ grown @ inverse.mT
    eigenvalues: Tensor = torch.linalg.eigvalsh(finite_or_zero(0.5 * (relative + relative.mT)))
    added = (eigenvalues - torch.log1p(eigenvalues)).sum(-1) + _trace(f_square)
    subtracted = _trace(precision @ m_square) + (inverse @ torch.cat([h, along], -1)).square().sum((-2, -1))
    values = own + 0.5 * (added - subtracted)
    with torch.no_grad():
        # The logarithms feel the error of the matrix that they are of, and everything how nearly dependent columns are.
        slope = (eigenvalues / (1.0 + eigenvalues)).abs().amax(-1)
        whole = (1.0 + 2.0 * rho.abs().amax((-2, -1))) * (rank + _trace(precision @ f_square))
        condition = ((1.0 + _diagonal(gram)) * _diagonal(precision)).amax(-1)
        size = condition * (own + 0.5 * (added + subtracted + slope * whole))
        uncertain = ~(values > _SMALLEST_RATIO * size) | (_diagonal(gram).amax(-1) > _LARGEST)
        for scale in (scale_p, scale_q):
            uncertain |= ~_is_ordinary(scale.variance)
    return values.to(own.dtype), uncertain


def _is_ordinary(variance: Tensor) -> Tensor:
    """Whether the fourth powers of all variances, which derivatives meet, are within the range of numbers."""
    largest = torch.finfo(variance.dtype).max ** 0.25
    within: Tensor = ((variance > 1.0 / largest) & (variance < largest)).all(-1)
    return within


def _product(a: Tensor, b: Tensor) -> Tensor:
    """AᵀB; what follows is small, and in float64."""
    return (a.mT @ b).double()


def _diagonal(matrix: Tensor) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1)


def _trace(matrix: Tensor) -> Tensor:
    return _diagonal(matrix).sum(-1)
