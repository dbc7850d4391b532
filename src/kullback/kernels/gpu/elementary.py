"""Elementary functions to the last digits, for float32 and float64: the twins of those of ``native/elementary.h``.

Comparisons are selections, not branches; NaN stays NaN, and infinity is reached only where the result overflows.
Nothing is computed in a wider precision: most GPUs have next to no float64. ``bits`` is 32 or 64, as the numbers are.
"""

import triton
import triton.language as tl

# Near-minimax polynomials: Q is (e^x - 1 - x) / x^2 for |x| <= 1, E the same for |x| <= 0.36, and R is
# 2 (atanh(s) - s) / s^3 in s^2 for |s| <= 1/3.
_Q32 = tl.constexpr((
    0.5, 0.16666666577313436821, 0.041666666592358769525, 0.0083333452413907300516, 0.0013888898792537831407,
    0.00019836988492303372695, 0.000024798025948400291832, 2.8126444348705755733e-6, 2.8030938097407533138e-7,
))  # fmt: skip
_Q64 = tl.constexpr((
    0.5, 0.16666666666666666667, 0.041666666666666667283, 0.0083333333333333333658, 0.0013888888888888759423,
    0.00019841269841269773197, 0.000024801587301690853149, 2.7557319224040338598e-6, 2.7557319183318761031e-7,
    2.5052108364058040751e-8, 2.0876765668642154841e-9, 1.605904839635056164e-10, 1.1469721885352241567e-11,
    7.6466253616566576563e-13, 4.8423462018442380154e-14, 2.8445264169895285633e-15,
))  # fmt: skip
_E32 = tl.constexpr((
    0.50000000169076248064, 0.16666666685445540724, 0.041666431857317699261, 0.0083333072532700900257,
    0.0013937181359907431237, 0.00019894912336453362811,
))  # fmt: skip
_E64 = tl.constexpr((
    0.5, 0.16666666666666672985, 0.041666666666666671179, 0.0083333333333235837498, 0.0013888888888881926351,
    0.00019841269883394330142, 0.000024801587331670254509, 2.7557244942221746346e-6, 2.7557266175047446732e-7,
    2.5109404672957822397e-8, 2.0917677381805068172e-9,
))  # fmt: skip
_R32 = tl.constexpr((
    0.66666667355679786884, 0.39999693613854664547, 0.28593045974858777914, 0.21695019260835285828,
    0.23283684279466700509,
))  # fmt: skip
_R64 = tl.constexpr((
    0.66666666666666657663, 0.40000000000016037788, 0.28571428566724870686, 0.22222222756069957869,
    0.18181787502242320281, 0.1538562408648593587, 0.13313262601967046941, 0.12009418381160399677,
    0.087583121243323302436, 0.16253585564486741011,
))  # fmt: skip
_LOG2_E = tl.constexpr(1.44269504088896340736)
_LIFT = tl.constexpr(2.0**60)


@triton.jit
def _polynomial(c: tl.constexpr, terms: tl.constexpr, x):
    total = x * c[terms - 1] + c[terms - 2]
    for k in tl.static_range(2, terms):
        total = total * x + c[terms - 1 - k]
    return total


@triton.jit
def _q(x, bits: tl.constexpr):
    return _polynomial(_Q32, 9, x) if bits == 32 else _polynomial(_Q64, 16, x)


@triton.jit
def _e(x, bits: tl.constexpr):
    return _polynomial(_E32, 6, x) if bits == 32 else _polynomial(_E64, 11, x)


@triton.jit
def _r(x, bits: tl.constexpr):
    return _polynomial(_R32, 5, x) if bits == 32 else _polynomial(_R64, 10, x)


@triton.jit
def divide(x, y, bits: tl.constexpr):
    """Divide, rounding once; the operator alone would be an approximation in float32."""
    return tl.div_rn(x, y) if bits == 32 else x / y


@triton.jit
def inverse(x, bits: tl.constexpr):
    """1 / x."""
    return divide(tl.full(x.shape, 1.0, x.dtype), x, bits)


@triton.jit
def _rounded(x, bits: tl.constexpr):
    """The nearest integer: adding 1.5 times 2 to the number of mantissa bits leaves no others."""
    magic: tl.constexpr = 12582912.0 if bits == 32 else 6755399441055744.0
    return (x + magic) - magic


@triton.jit
def _power(k, bits: tl.constexpr):
    """2^k for an integer k in the range of the exponent."""
    if bits == 32:
        shifted = (k + 12582912.0).to(tl.int32, bitcast=True) - (0x4B400000 - 127)
        return (shifted << 23).to(tl.float32, bitcast=True)
    else:
        shifted = (k + 6755399441055744.0).to(tl.int64, bitcast=True) - (0x4338000000000000 - 1023)
        return (shifted << 52).to(tl.float64, bitcast=True)


@triton.jit
def _remainder(x, k, bits: tl.constexpr):
    """What is left of x after k log 2; the first part of log 2 has so few bits that its product is exact."""
    if bits == 32:
        return (x - k * 0.693359375) - k * -2.12194440054690583e-4
    else:
        return (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10


@triton.jit
def half_phi(x, bits: tl.constexpr):
    """Halves of e^x - 1 - x and of e^x - 1.

    With x = k log 2 + r, e^r = 1 + r + p and a = 2^k / 2 they are a p + (a - 1/2) r + (a - 1/2 - k log(2) / 2) and
    a (r + p) + (a - 1/2): k is 0 for |x| < 1, where nothing is left to cancel.
    """
    least: tl.constexpr = -87.0 if bits == 32 else -708.0  # below, e^x is nothing beside 1
    most: tl.constexpr = 90.0 if bits == 32 else 712.0  # beyond, half of e^x is infinite
    below = tl.where(x < least, least - x, 0.0)
    y = tl.where(x < least, least, x)
    y = tl.where(y > most, most, y)
    k = _rounded(y * _LOG2_E, bits)
    k = tl.where(k > (128.0 if bits == 32 else 1024.0), 128.0 if bits == 32 else 1024.0, k)
    k = tl.where(tl.abs(y) < 1.0, 0.0, k)
    r = _remainder(y, k, bits)
    p = r * r * _q(r, bits)
    a = _power(k - 1.0, bits)
    rest = a - 0.5
    return a * p + (rest * r + _remainder(rest, 0.5 * k, bits)) + 0.5 * below, a * (r + p) + rest


@triton.jit
def scaled(x, y, bits: tl.constexpr):
    """Both z = x e^y and z e^y, finite as long as they are: e^y is applied as two powers of two and a number near 1."""
    most: tl.constexpr = 176.0 if bits == 32 else 1400.0
    y = tl.where(y < -most, -most, y)
    y = tl.where(y > most, most, y)
    k = _rounded(y * _LOG2_E, bits)
    r = _remainder(y, k, bits)
    e = 1.0 + (r + r * r * _e(r, bits))
    half = _rounded(0.5 * k, bits)
    a, b = _power(half, bits), _power(k - half, bits)
    # The power first: it rounds nothing, and takes a subnormal x to where e does not round it away.
    once = x * a * e * b
    return once, once * a * e * b


@triton.jit
def split(x, bits: tl.constexpr):
    """A positive number as m 2^e with 2 <= m < 4: m, 2^-e, what a subnormal x was lifted by, and e."""
    tiny: tl.constexpr = 1.17549435e-38 if bits == 32 else 2.2250738585072014e-308
    subnormal = x < tiny
    lift = tl.where(subnormal, tl.full(x.shape, _LIFT, x.dtype), 1.0)
    if bits == 32:
        whole = (x * lift).to(tl.int32, bitcast=True)
        biased = (whole >> 23) & 0xFF
        e = (biased - 128).to(tl.float32) - tl.where(subnormal, 60.0, 0.0)
        reciprocal = ((255 - biased) << 23).to(tl.float32, bitcast=True)
        m = ((whole & 0x7FFFFF) | (128 << 23)).to(tl.float32, bitcast=True)
    else:
        whole = (x * lift).to(tl.int64, bitcast=True)
        biased = (whole >> 52) & 0x7FF
        e = (biased - 1024).to(tl.float64) - tl.where(subnormal, 60.0, 0.0)
        reciprocal = ((2047 - biased) << 52).to(tl.float64, bitcast=True)
        m = ((whole & 0xFFFFFFFFFFFFF) | (1024 << 52)).to(tl.float64, bitcast=True)
    return m, reciprocal, lift, e


@triton.jit
def half_psi_near(t, bits: tl.constexpr):
    """Half of t - log(1 + t) >= 0 for -1/2 <= t <= 1.

    With s = t / (2 + t), log(1 + t) = 2 s + s^3 R(s^2), and t - 2 s = t s.
    """
    s = divide(t, 2.0 + t, bits)
    return 0.5 * (t * s - s * s * s * _r(s * s, bits))


@triton.jit
def ratio(a, m, reciprocal, lift, e, inverse_m, bits: tl.constexpr):
    """The ratio r of a to a number that was split: halves of t = r - 1 and of t - log(1 + t) >= 0.

    For r outside 1/2 ... 2 the logarithm is that of the ratio of the parts, which lies inside, and of powers of two.
    """
    m_a, _, _, e_a = split(a, bits)
    h = (a * (0.125 * reciprocal) * lift - 0.125 * m) * (4.0 * inverse_m)
    far = (h <= -0.25) | (h >= 0.5)
    u = tl.where(far, (m_a - m) * inverse_m, 2.0 * h)
    half_k = 0.5 * (e_a - e)
    near = half_psi_near(u, bits)
    # t - log r = (t - k log 2) - u + (u - log(1 + u))
    if bits == 32:
        apart = ((h - half_k * 0.693359375) - 0.5 * u) + (near - half_k * -2.12194440054690583e-4)
    else:
        apart = ((h - half_k * 6.93147180369123816490e-01) - 0.5 * u) + (near - half_k * 1.90821492927058770002e-10)
    return h, tl.where(far, apart, near)


@triton.jit
def difference(x, y, bits: tl.constexpr):
    """The difference, halved where it would overflow, and what to multiply by afterwards."""
    large = tl.abs(x) + tl.abs(y) > (1e38 if bits == 32 else 1e308)
    scale = tl.where(large, tl.full(x.shape, 0.5, x.dtype), 1.0)
    return x * scale - y * scale, tl.where(large, tl.full(x.shape, 2.0, x.dtype), 1.0)
