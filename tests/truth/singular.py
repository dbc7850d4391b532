"""Distances and divergences of singular Gaussians, by factors of their covariances and with mpmath.

From the definitions: the trace of the root is the nuclear norm of the product of the factors; a density is one along an
orthonormal basis of the support, which the Gram–Schmidt process finds.
"""

from collections.abc import Sequence

from mpmath import mp


def squared_wasserstein2(mean_p: Sequence, factor_p: Sequence, mean_q: Sequence, factor_q: Sequence) -> mp.mpf:
    """The squared 2-Wasserstein distance of N(m, W Wᵀ) for lists of numbers."""
    with mp.workdps(80):
        a, b = mp.matrix(factor_p), mp.matrix(factor_q)
        cross = a.T * b
        gram = cross * cross.T if cross.rows <= cross.cols else cross.T * cross
        nuclear = sum(mp.sqrt(max(x, 0)) for x in mp.eigsy(gram, eigvals_only=True))
        shift = sum((mp.mpf(x) - mp.mpf(y)) ** 2 for x, y in zip(mean_p, mean_q, strict=True))
        return shift + sum(x * x for x in a) + sum(x * x for x in b) - 2 * nuclear


def kl_on_support(shift: Sequence, factor_p: Sequence, factor_q: Sequence) -> mp.mpf:
    """KL(N(B s, A Aᵀ) ‖ N(0, B Bᵀ)) for factors A, B of one span and full column rank, s = ``shift``."""
    with mp.workdps(60):
        a, b = mp.matrix(factor_p), mp.matrix(factor_q)
        basis = _orthonormal(b)
        x, y = basis.T * a, basis.T * b
        p, q, delta = x * x.T, y * y.T, y * mp.matrix(shift)
        inverse = mp.inverse(q)
        trace = sum((inverse * p)[i, i] for i in range(p.rows))
        square = (delta.T * inverse * delta)[0]
        return (trace - p.rows + square + mp.log(mp.det(q) / mp.det(p))) / 2


def _orthonormal(matrix: mp.matrix) -> mp.matrix:
    columns: list = []
    for j in range(matrix.cols):
        v = matrix[:, j]
        for u in columns:
            v = v - (u.T * v)[0] * u
        columns.append(v / mp.norm(v))
    result = mp.matrix(matrix.rows, matrix.cols)
    for j, u in enumerate(columns):
        result[:, j] = u
    return result
