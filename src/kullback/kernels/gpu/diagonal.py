"""Pairs of diagonal Gaussians on a GPU: the twin of ``native/diagonal.h``."""

import triton
import triton.language as tl

from kullback.kernels.gpu.elementary import difference, divide, half_phi, inverse, ratio, scaled, split


@triton.jit
def _std(mean_p, a, mean_q, b, bits: tl.constexpr):
    m, reciprocal, lift, e = split(b, bits)
    over = inverse(m, bits)
    half_t, half_psi = ratio(a, m, reciprocal, lift, e, over, bits)
    t = 2.0 * half_t
    delta, factor = difference(mean_p, mean_q, bits)
    z = delta * over * reciprocal * lift * factor
    change = t * (t + 2.0)  # r^2 - 1
    slope_q = -((change + z * z) * over * reciprocal * lift)
    return t * half_t + 2.0 * half_psi, z * (0.5 * z), z * over * reciprocal * lift, divide(change, a, bits), slope_q


@triton.jit
def _variance(mean_p, a, mean_q, b, bits: tl.constexpr):
    m, reciprocal, lift, e = split(b, bits)
    over = inverse(m, bits)
    half_t, half_psi = ratio(a, m, reciprocal, lift, e, over, bits)
    delta, factor = difference(mean_p, mean_q, bits)
    slope = delta * over * reciprocal * lift * factor
    square = (delta * factor) * (0.5 * slope)
    slope_q = -((half_t + square) * over * reciprocal * lift)
    return half_psi, square, slope, divide(half_t, a, bits), slope_q


@triton.jit
def _logvar(mean_p, a, mean_q, b, bits: tl.constexpr):
    x = a - b
    b_seen = x - a
    low = (a - (x - b_seen)) - (b + b_seen)  # what the difference lost when it was rounded
    low = tl.where(low - low == 0.0, low, 0.0)
    phi, expm1 = half_phi(x, bits)
    delta, factor = difference(mean_p, mean_q, bits)
    z, slope = scaled(delta, -0.5 * b, bits)
    z, slope = z * factor, slope * factor
    square = z * (0.5 * z)
    # d e^x = e^x dx; where e^x is infinite the correction is of no account.
    corrected = tl.where(expm1 - expm1 == 0.0, expm1 + low * (expm1 + 0.5), expm1)
    term = tl.where(phi - phi == 0.0, phi + low * expm1, phi)
    return term, square, slope, corrected, -(corrected + square)


@triton.jit
def _axis(mean_p, a, mean_q, b, kind: tl.constexpr, bits: tl.constexpr):
    """Of each coordinate the covariance term, the mean term, and the derivatives of their sum with respect to the mean
    of p (minus that of q) and to the two scales as they were given.
    """
    if kind == "logvar":
        return _logvar(mean_p, a, mean_q, b, bits)
    else:
        if kind == "std":
            covariance_term, mean_term, slope, slope_p, slope_q = _std(mean_p, a, mean_q, b, bits)
        else:
            covariance_term, mean_term, slope, slope_p, slope_q = _variance(mean_p, a, mean_q, b, bits)
        none = tl.where((a > 0.0) & (b > 0.0), 0.0, tl.full(a.shape, float("nan"), a.dtype))
        return covariance_term + none, mean_term + none, slope + none, slope_p + none, slope_q + none


@triton.jit
def diagonal(
    mean_p, scale_p, mean_q, scale_q,
    row_0, row_1, row_2, row_3, column_0, column_1, column_2, column_3,
    weight, weight_row,
    value, slope_0, slope_1, slope_2, slope_3, mean_term, covariance_term,
    rows, n, parts,
    kind: tl.constexpr, bits: tl.constexpr, height: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """``height`` rows, and of each the coordinates of one of ``parts``, ``width`` at a time.

    What is not None is computed: their sums (of part k of row r at ``value[k, r]``), the derivatives of the weighted
    sum of the rows, and both terms of each coordinate.
    """
    real: tl.constexpr = tl.float32 if bits == 32 else tl.float64
    of_rows = tl.program_id(0).to(tl.int64) * height + tl.arange(0, height)
    row, part = of_rows[:, None], tl.program_id(1)
    steps = tl.cdiv(tl.cdiv(n, width), parts)
    total = tl.zeros((height, width), real)
    for step in range(part * steps, (part + 1) * steps):
        column = step * width + tl.arange(0, width)[None, :]
        inside = (row < rows) & (column < n)
        a = tl.load(scale_p + row * row_1 + column * column_1, inside, 1.0).to(real)
        b = tl.load(scale_q + row * row_3 + column * column_3, inside, 1.0).to(real)
        x = tl.load(mean_p + row * row_0 + column * column_0, inside, 0.0).to(real)
        y = tl.load(mean_q + row * row_2 + column * column_2, inside, 0.0).to(real)
        of_covariance, of_mean, slope, slope_p, slope_q = _axis(x, a, y, b, kind, bits)
        at = row * n + column
        if value is not None:
            total += tl.where(inside, of_covariance + of_mean, 0.0)
        if mean_term is not None:
            tl.store(mean_term + at, of_mean, inside)
            tl.store(covariance_term + at, of_covariance, inside)
        if weight is not None:
            w = tl.load(weight + row * weight_row, row < rows, 0.0).to(real)
            if slope_0 is not None:
                tl.store(slope_0 + at, w * slope, inside)
            if slope_1 is not None:
                tl.store(slope_1 + at, w * slope_p, inside)
            if slope_2 is not None:
                tl.store(slope_2 + at, -(w * slope), inside)
            if slope_3 is not None:
                tl.store(slope_3 + at, w * slope_q, inside)
    if value is not None:
        tl.store(value + part * rows + of_rows, tl.sum(total, 1), of_rows < rows)
