/* Elementary functions of one precision, to the last digits, written so that loops over them vectorize.
 *
 * Included once for each REAL. No call leaves the translation unit; comparisons are selections, not branches; NaN stays
 * NaN and infinity is reached only where the result overflows.
 */
#define PASTE_(a, b) a##_##b
#define PASTE(a, b) PASTE_(a, b)
#define NAME(x) PASTE(x, SUFFIX)
#define INLINE static inline __attribute__((always_inline))

#if REAL_BITS == 32
#define REAL float
#define UNSIGNED uint32_t
#define WHOLE 8388608.0f              /* 2^23: small integers stand in its low bits */
#define C(x) x##f
#define MANTISSA 23
#define BIAS 127
#define MAGIC 12582912.0f             /* 1.5 * 2^23: adding it rounds to an integer, which then stands in the low bits */
#define LN2_HI 0.693359375f           /* few bits, so that its product with a small integer is exact */
#define LN2_LO (-2.12194440054690583e-4f)
#define EXP_LEAST -87.0f              /* below, e^x is nothing beside 1 */
#define EXP_MOST 90.0f                /* beyond, half of e^x is infinite */
#define POWER_MOST 128.0f
#define SPLIT_MOST 176.0f             /* e^x as a product of two powers of two that are numbers */
#define Q_TERMS 9
#define E_TERMS 6
#define R_TERMS 5
#define TINY 1.17549435e-38f
#define HUGE_SUM 1e38f
#define LIFT 1.152921504606846976e18f /* 2^60 */
#else
#define REAL double
#define UNSIGNED uint64_t
#define WHOLE 4503599627370496.0
#define C(x) x
#define MANTISSA 52
#define BIAS 1023
#define MAGIC 6755399441055744.0
#define LN2_HI 6.93147180369123816490e-01
#define LN2_LO 1.90821492927058770002e-10
#define EXP_LEAST -708.0
#define EXP_MOST 712.0
#define POWER_MOST 1024.0
#define SPLIT_MOST 1400.0
#define Q_TERMS 16
#define E_TERMS 11
#define R_TERMS 10
#define TINY 2.2250738585072014e-308
#define HUGE_SUM 1e308
#define LIFT 1.152921504606846976e18
#endif

/* Near-minimax polynomials, found by Chebyshev interpolation at 40 digits. */
static const REAL NAME(Q)[] = { /* (e^x - 1 - x) / x^2, |x| <= 1 */
#if REAL_BITS == 32
    0.5f, 0.16666666577313436821f, 0.041666666592358769525f, 0.0083333452413907300516f, 0.0013888898792537831407f,
    0.00019836988492303372695f, 0.000024798025948400291832f, 2.8126444348705755733e-6f, 2.8030938097407533138e-7f
#else
    0.5, 0.16666666666666666667, 0.041666666666666667283, 0.0083333333333333333658, 0.0013888888888888759423,
    0.00019841269841269773197, 0.000024801587301690853149, 2.7557319224040338598e-6, 2.7557319183318761031e-7,
    2.5052108364058040751e-8, 2.0876765668642154841e-9, 1.605904839635056164e-10, 1.1469721885352241567e-11,
    7.6466253616566576563e-13, 4.8423462018442380154e-14, 2.8445264169895285633e-15
#endif
};
static const REAL NAME(E)[] = { /* the same, |x| <= 0.36 */
#if REAL_BITS == 32
    0.50000000169076248064f, 0.16666666685445540724f, 0.041666431857317699261f, 0.0083333072532700900257f,
    0.0013937181359907431237f, 0.00019894912336453362811f
#else
    0.5, 0.16666666666666672985, 0.041666666666666671179, 0.0083333333333235837498, 0.0013888888888881926351,
    0.00019841269883394330142, 0.000024801587331670254509, 2.7557244942221746346e-6, 2.7557266175047446732e-7,
    2.5109404672957822397e-8, 2.0917677381805068172e-9
#endif
};
static const REAL NAME(R)[] = { /* 2 (atanh(s) - s) / s^3 in s^2, |s| <= 1/3 */
#if REAL_BITS == 32
    0.66666667355679786884f, 0.39999693613854664547f, 0.28593045974858777914f, 0.21695019260835285828f,
    0.23283684279466700509f
#else
    0.66666666666666657663, 0.40000000000016037788, 0.28571428566724870686, 0.22222222756069957869,
    0.18181787502242320281, 0.1538562408648593587, 0.13313262601967046941, 0.12009418381160399677,
    0.087583121243323302436, 0.16253585564486741011
#endif
};

INLINE REAL NAME(polynomial)(const REAL *c, int terms, REAL x)
{
    REAL total = c[terms - 1];
    for (int k = terms - 2; k >= 0; k--)
        total = total * x + c[k];
    return total;
}

/* 2^k for an integer k in the range of the exponent; REAL in, so that rounding and shifting stay in one register. */
INLINE REAL NAME(power)(REAL k)
{
    union { REAL r; UNSIGNED u; } magic, bits;
    magic.r = k + MAGIC;
    bits.r = MAGIC;
    bits.u = (magic.u - bits.u + BIAS) << MANTISSA;
    return bits.r;
}

INLINE REAL NAME(rounded)(REAL x)
{
    return (x + MAGIC) - MAGIC;
}

INLINE REAL NAME(magnitude)(REAL x)
{
    return x < C(0.0) ? -x : x;
}

/* Halves of e^x - 1 - x and of e^x - 1.
 *
 * With x = k log 2 + r, e^r = 1 + r + p and a = 2^k / 2 they are a p + (a - 1/2) r + (a - 1/2 - k log(2) / 2) and
 * a (r + p) + (a - 1/2): k is 0 for |x| < 1, where nothing is left to cancel. */
INLINE void NAME(half_phi)(REAL x, int guarded, REAL *phi, REAL *expm1)
{
    REAL below = guarded && x < EXP_LEAST ? EXP_LEAST - x : C(0.0);
    REAL y = guarded && x < EXP_LEAST ? EXP_LEAST : x;
    y = guarded && y > EXP_MOST ? EXP_MOST : y;
    REAL k = NAME(rounded)(y * C(1.44269504088896340736));
    k = guarded && k > POWER_MOST ? POWER_MOST : k;
    k = NAME(magnitude)(y) < C(1.0) ? C(0.0) : k;
    REAL r = (y - k * LN2_HI) - k * LN2_LO;
    REAL p = r * r * NAME(polynomial)(NAME(Q), Q_TERMS, r);
    REAL a = NAME(power)(k - C(1.0));
    REAL rest = a - C(0.5);
    REAL constant = (rest - k * (C(0.5) * LN2_HI)) - k * (C(0.5) * LN2_LO);
    *phi = a * p + (rest * r + constant) + C(0.5) * below;
    *expm1 = a * (r + p) + rest;
}

/* z = x e^y and z e^y, finite as long as they are: e^y is applied as two powers of two and a number near 1. */
INLINE void NAME(scaled)(REAL x, REAL y, int guarded, REAL *once, REAL *twice)
{
    y = guarded && y < -SPLIT_MOST ? -SPLIT_MOST : y;
    y = guarded && y > SPLIT_MOST ? SPLIT_MOST : y;
    REAL k = NAME(rounded)(y * C(1.44269504088896340736));
    REAL r = (y - k * LN2_HI) - k * LN2_LO;
    REAL e = C(1.0) + (r + r * r * NAME(polynomial)(NAME(E), E_TERMS, r));
    if (!guarded) {
        e *= NAME(power)(k);
        *once = x * e;
        *twice = *once * e;
        return;
    }
    REAL half = NAME(rounded)(C(0.5) * k);
    REAL a = NAME(power)(half), b = NAME(power)(k - half);
    /* The power first: it rounds nothing, and takes a subnormal x to where e does not round it away. */
    *once = x * a * e * b;
    *twice = *once * a * e * b;
}

/* A positive number as m 2^e with 2 <= m < 4: 2^-e, which is always a number, and e. Subnormal ones are lifted first.
 * Where there is nothing to guard against, m is the number itself. */
typedef struct {
    REAL m, reciprocal, lift, e;
} NAME(parts);

INLINE NAME(parts) NAME(split)(REAL x, int guarded)
{
    union { REAL r; UNSIGNED u; } bits, whole;
    NAME(parts) result = { x, C(1.0), C(1.0), C(0.0) };
    if (!guarded)
        return result;
    result.lift = x < TINY ? LIFT : C(1.0);
    bits.r = x * result.lift;
    UNSIGNED biased = (bits.u << 1) >> (MANTISSA + 1);
    whole.r = WHOLE;
    whole.u |= biased;
    result.e = (whole.r - (WHOLE + (BIAS + 1))) - (x < TINY ? C(60.0) : C(0.0));
    whole.u = (2 * BIAS + 1 - biased) << MANTISSA;
    result.reciprocal = whole.r;
    bits.u = (bits.u & (((UNSIGNED)1 << MANTISSA) - 1)) | ((UNSIGNED)(BIAS + 1) << MANTISSA);
    result.m = bits.r;
    return result;
}

/* x / b for the parts of b, 1/m given: in an order in which nothing leaves the range unless the result does. */
INLINE REAL NAME(over)(REAL x, NAME(parts) b, REAL inverse)
{
    return x * inverse * b.reciprocal * b.lift;
}

/* The same as below for ordinary numbers: a is brought to the binade of b, which is exact, unless it is near enough. */
INLINE void NAME(ordinary_ratio)(REAL a, REAL b, REAL inverse, REAL *half_t, REAL *half_psi)
{
    union { REAL r; UNSIGNED u; } bits_a, bits_b, whole;
    bits_a.r = a;
    bits_b.r = b;
    REAL t = (a - b) * inverse;
    UNSIGNED k = (bits_a.u >> MANTISSA) - (bits_b.u >> MANTISSA);
    k = t > C(-0.5) && t < C(1.0) ? 0 : k;
    bits_a.u -= k << MANTISSA;
    whole.r = MAGIC;
    whole.u += k;
    REAL power = whole.r - MAGIC;
    REAL difference = bits_a.r - b, u = difference * inverse, s = difference / (bits_a.r + b);
    REAL near = u * s - s * s * s * NAME(polynomial)(NAME(R), R_TERMS, s * s);
    *half_t = C(0.5) * t;
    *half_psi = C(0.5) * (((t - power * LN2_HI) - u) + (near - power * LN2_LO));
}

/* The ratio r = a / b of two positive numbers: halves of t = r - 1 and of t - log(1 + t) >= 0, which are numbers where r
 * is none.
 *
 * With s = t / (2 + t), log(1 + t) = 2 s + s^3 R(s^2), and t - 2 s = t s. For r outside 1/2 ... 2 the logarithm is that
 * of the ratio of the parts, which lies inside, and of the powers of two. */
INLINE void NAME(ratio)(REAL a, NAME(parts) b, REAL inverse, int guarded, REAL *half_t, REAL *half_psi)
{
    if (!guarded) {
        NAME(ordinary_ratio)(a, b.m, inverse, half_t, half_psi);
        return;
    }
    NAME(parts) whole = NAME(split)(a, 1);
    REAL h = (a * (C(0.125) * b.reciprocal) * b.lift - C(0.125) * b.m) * (C(4.0) * inverse);
    int far = !(h > C(-0.25) && h < C(0.5));
    REAL u = far ? (whole.m - b.m) * inverse : C(2.0) * h;
    REAL half_k = C(0.5) * (whole.e - b.e);
    REAL s = u / (C(2.0) + u);
    REAL near = C(0.5) * (u * s - s * s * s * NAME(polynomial)(NAME(R), R_TERMS, s * s));
    /* t - log r = (t - k log 2) - u + (u - log(1 + u)) */
    REAL apart = ((h - half_k * LN2_HI) - C(0.5) * u) + (near - half_k * LN2_LO);
    *half_t = h;
    *half_psi = far ? apart : near;
}

/* x - y, halved where it would overflow, and what to multiply by afterwards. */
INLINE REAL NAME(difference)(REAL x, REAL y, int guarded, REAL *factor)
{
    int large = guarded && NAME(magnitude)(x) + NAME(magnitude)(y) > HUGE_SUM;
    REAL scale = large ? C(0.5) : C(1.0);
    *factor = large ? C(2.0) : C(1.0);
    return x * scale - y * scale;
}

INLINE UNSIGNED NAME(bits_of)(REAL x)
{
    union { REAL r; UNSIGNED u; } bits;
    bits.r = x;
    return bits.u;
}

/* The largest of the means and of the scales seen so far, as bits, which order positive numbers; others come above. */
typedef struct {
    UNSIGNED mean, scale;
} NAME(extremes);

#define LARGE C(1099511627776.0) /* 2^40 */

INLINE void NAME(see)(NAME(extremes) *seen, REAL mean_p, REAL a, REAL mean_q, REAL b, int logarithms)
{
    const UNSIGNED size = ~(UNSIGNED)0 >> 1, least = NAME(bits_of)(C(1.0) / LARGE);
    UNSIGNED p = NAME(bits_of)(mean_p) & size, q = NAME(bits_of)(mean_q) & size;
    UNSIGNED of_a = NAME(bits_of)(a), of_b = NAME(bits_of)(b);
    of_a = logarithms ? of_a & size : of_a - least;
    of_b = logarithms ? of_b & size : of_b - least;
    p = p > q ? p : q;
    of_a = of_a > of_b ? of_a : of_b;
    seen->mean = p > seen->mean ? p : seen->mean;
    seen->scale = of_a > seen->scale ? of_a : seen->scale;
}

/* Was there nothing to guard against: were all scales positive, and all numbers far from where a square leaves the range? */
INLINE int NAME(ordinary)(NAME(extremes) seen, int logarithms)
{
    const UNSIGNED large = NAME(bits_of)(LARGE), range = large - NAME(bits_of)(C(1.0) / LARGE);
    return seen.mean <= large && seen.scale <= (logarithms ? NAME(bits_of)(C(25.0)) : range);
}
