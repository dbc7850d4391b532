"""Pairs of full Gaussians of few coordinates on a GPU, in the formulas of ``native/full.h``.

A program holds the matrices of some pairs, padded with the identity to a power of two. Everything is computed in
float64: for float32 inputs that is exact enough by itself, for float64 ones a Newton step restores what the factors
lost near p = q. ``i`` and ``j`` are the rows and the columns of a matrix, ``k`` those of a vector.
"""

import triton
import triton.language as tl

from kullback.kernels.gpu.elementary import half_psi_near, inverse, ratio, split

# Up to this squared norm of N a Newton step improves on the difference of the factors. Both agree around it.
_NEAR = tl.constexpr(0.0625)


@triton.jit
def _column(a, j, at):
    return tl.sum(tl.where(j == at, a, 0.0), 2)


@triton.jit
def _row(a, i, at):
    return tl.sum(tl.where(i == at, a, 0.0), 1)


@triton.jit
def _entry(x, k, at):
    return tl.sum(tl.where(k == at, x, 0.0), 1)[:, None]


@triton.jit
def _transposed(a):
    return tl.permute(a, 0, 2, 1)


@triton.jit
def _cholesky(a, i, j, k, n):
    """The lower factor, NaN where there is none; the identity beyond n."""
    factor = tl.where((i == j) & (i >= n), a, 0.0)
    for at in range(n):
        column = _column(a, j, at)
        pivot = _entry(column, k, at)
        root = tl.where(pivot > 0.0, tl.sqrt(pivot), float("nan"))
        column = tl.where(k > at, column / root, tl.where(k == at, root, 0.0))
        factor = tl.where(j == at, column[:, :, None], factor)
        a -= column[:, :, None] * column[:, None, :]
    return factor


@triton.jit
def _forward(factor, x, i, j, k, n):
    """L^-1 X."""
    for at in range(n):
        column = _column(factor, j, at)
        row = _row(x, i, at) / _entry(column, k, at)
        below = tl.where(k > at, column, 0.0)
        x = tl.where(i == at, row[:, None, :], x - below[:, :, None] * row[:, None, :])
    return x


@triton.jit
def _backward(factor, x, i, j, k, n):
    """L^-T X."""
    for step in range(n):
        at = n - 1 - step
        column = _row(factor, i, at)
        row = _row(x, i, at) / _entry(column, k, at)
        above = tl.where(k < at, column, 0.0)
        x = tl.where(i == at, row[:, None, :], x - above[:, :, None] * row[:, None, :])
    return x


@triton.jit
def _whitened(factor, a, i, j, k, n):
    """L^-1 A L^-T of a symmetric A."""
    return _forward(factor, _transposed(_forward(factor, a, i, j, k, n)), i, j, k, n)


@triton.jit
def _product(a, b, i, j, n):
    total = tl.zeros_like(a)
    for at in range(n):
        total += _column(a, j, at)[:, :, None] * _row(b, i, at)[:, None, :]
    return total


@triton.jit
def _excess(x, i, j, n):
    """N + N' + N N'."""
    other = _transposed(x)
    return (x + other) + _product(x, other, i, j, n)


@triton.jit
def _diagonal(a, i, j):
    return tl.sum(tl.where(i == j, a, 0.0), 2)


@triton.jit
def _corrected(x, e, near, i, j, k, n):
    """One Newton step of N towards the E of N + N' + N N' = E, for the pairs that are near."""
    start = tl.where(near, x, 0.0)
    rest = tl.where(near, e - _excess(start, i, j, n), 0.0)
    factor = tl.where(i == j, 1.0 + start, start)
    rest = _whitened(factor, rest, i, j, k, n)
    half = tl.where(i == j, 0.5 * rest, tl.where(j < i, rest, 0.0))
    return x + tl.where(j <= i, _product(factor, half, i, j, n), 0.0)


@triton.jit
def _loaded_scale(data, row_step, row, i, j, n, rows, symmetric: tl.constexpr):
    inside = (row < rows) & (i < n) & (j < n)
    identity = tl.where(i == j, 1.0, 0.0)
    at = data + row * row_step
    a = tl.where(inside, tl.load(at + i * n + j, inside, 0.0).to(tl.float64), identity)
    if symmetric:
        other = tl.where(inside, tl.load(at + j * n + i, inside, 0.0).to(tl.float64), identity)
        return 0.5 * a + 0.5 * other
    else:
        return tl.where(j < i, a, tl.where((i == j) & (a > 0.0), a, tl.where(i == j, float("nan"), 0.0)))


@triton.jit
def _settled(x, w, factors: tl.constexpr, i, j):
    """A derivative as it is given back: of a factor lower triangular, of a covariance half and symmetric."""
    return tl.where(j <= i, w * x, 0.0) if factors else w * (0.25 * (x + _transposed(x)))


@triton.jit
def full(
    mean_p, scale_p, mean_q, scale_q,
    row_0, row_1, row_2, row_3,
    weight, weight_row,
    value, slope_0, slope_1, slope_2, slope_3,
    rows, n,
    factors: tl.constexpr, correctable: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """``height`` pairs of ``n`` coordinates, padded to ``width``: what is not None is computed, their divergences and
    the derivatives of their weighted sum.
    """
    of_rows = tl.program_id(0).to(tl.int64) * height + tl.arange(0, height)
    row = of_rows[:, None, None]
    i, j, k = tl.arange(0, width)[None, :, None], tl.arange(0, width)[None, None, :], tl.arange(0, width)[None, :]
    p = _loaded_scale(scale_p, row_1, row, i, j, n, rows, not factors)
    q = _loaded_scale(scale_q, row_3, row, i, j, n, rows, not factors)
    e = p - q
    if not factors:
        p, q = _cholesky(p, i, j, k, n), _cholesky(q, i, j, k, n)
    x = tl.where(j <= i, _forward(q, p - q, i, j, k, n), 0.0)
    near = tl.full((height, 1), 0, tl.int1)
    if correctable:
        near = (tl.sum(tl.sum(x * x, 2), 1) < _NEAR)[:, None]
        if tl.max(near.to(tl.int32)) > 0:
            x = _corrected(x, _whitened(q, e, i, j, k, n), near[:, :, None], i, j, k, n)
    at = of_rows[:, None]
    inside = (at < rows) & (k < n)
    delta = tl.load(mean_p + at * row_0 + k, inside, 0.0).to(tl.float64)
    delta -= tl.load(mean_q + at * row_2 + k, inside, 0.0).to(tl.float64)
    # As the rows of a matrix with one column that counts: L^-1 delta.
    y = tl.sum(_forward(q, tl.where(j == 0, delta[:, :, None], 0.0), i, j, k, n), 2)
    if value is not None:
        t, b = _diagonal(x, i, j), _diagonal(q, i, j)
        m, reciprocal, lift, exponent = split(b, 64)
        half_t, half_psi = ratio(_diagonal(p, i, j), m, reciprocal, lift, exponent, inverse(m, 64), 64)
        t, half_psi = tl.where(near, t, 2.0 * half_t), tl.where(near, half_psi_near(t, 64), half_psi)
        below = tl.sum(tl.where(j < i, 0.5 * x * x, 0.0), 2)
        total = tl.sum(0.5 * t * t + 2.0 * half_psi + below + 0.5 * y * y, 1)
        tl.store(value + of_rows, total, of_rows < rows)
    if weight is not None:
        w = tl.load(weight + of_rows * weight_row, of_rows < rows, 0.0).to(tl.float64)[:, None]
        whole = (row < rows) & (i < n) & (j < n)
        place = row * n * n + i * n + j
        if slope_0 is not None or slope_2 is not None:
            slope = w * tl.sum(_backward(q, tl.where(j == 0, y[:, :, None], 0.0), i, j, k, n), 2)
            if slope_0 is not None:
                tl.store(slope_0 + at * n + k, slope, inside)
            if slope_2 is not None:
                tl.store(slope_2 + at * n + k, -slope, inside)
        w = w[:, :, None]
        if slope_1 is not None:
            # R = N T^-1 with T = I + N, from T' R' = N'.
            r_transposed = _backward(tl.where(i == j, 1.0 + x, x), _transposed(x), i, j, k, n)
            if factors:
                m = _backward(q, x + r_transposed, i, j, k, n)
            else:
                m = _backward(p, _transposed(x + r_transposed), i, j, k, n)
                m = _backward(q, _transposed(m), i, j, k, n)
            tl.store(slope_1 + place, _settled(m, w, factors, i, j), whole)
        if slope_3 is not None:
            m = _backward(q, _excess(x, i, j, n) + y[:, :, None] * y[:, None, :], i, j, k, n)
            if not factors:
                m = _backward(q, _transposed(m), i, j, k, n)
            tl.store(slope_3 + place, _settled(m, -w, factors, i, j), whole)
