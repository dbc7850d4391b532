/* Pairs of diagonal Gaussians, one precision. Included once for each REAL, after elementary.h. */

/* Everything about one coordinate: the covariance term, half of r - 1 - log r, the mean term, half of
 * (delta / sigma_q)^2, and the derivatives of their sum with respect to the mean of p (minus that of q) and to the two
 * scales as they were given. */
typedef struct {
    REAL covariance_term, mean_term, mean, scale_p, scale_q;
} NAME(axis);

INLINE REAL NAME(or_nan)(REAL x, int valid)
{
    return valid ? x : (REAL)NAN;
}

INLINE NAME(axis) NAME(axis_logvar)(REAL mean_p, REAL a, REAL mean_q, REAL b, int guarded)
{
    REAL x = a - b, b_seen = x - a;
    REAL low = (a - (x - b_seen)) - (b + b_seen); /* what the difference lost when it was rounded */
    low = !guarded || low - low == C(0.0) ? low : C(0.0);
    REAL phi, expm1, z, slope, factor;
    NAME(half_phi)(x, guarded, &phi, &expm1);
    REAL delta = NAME(difference)(mean_p, mean_q, guarded, &factor);
    NAME(scaled)(delta, C(-0.5) * b, guarded, &z, &slope);
    z *= factor;
    slope *= factor;
    /* d e^x = e^x dx; where e^x is infinite the correction is of no account. */
    REAL corrected = expm1 + low * (expm1 + C(0.5));
    corrected = !guarded || expm1 - expm1 == C(0.0) ? corrected : expm1;
    REAL square = z * (C(0.5) * z), covariance_term = phi + low * expm1;
    covariance_term = !guarded || phi - phi == C(0.0) ? covariance_term : phi;
    NAME(axis) result = { covariance_term, square, slope, corrected, -(corrected + square) };
    return result;
}

INLINE NAME(axis) NAME(axis_std)(REAL mean_p, REAL a, REAL mean_q, REAL b, int guarded)
{
    int valid = !guarded || (a > C(0.0) && b > C(0.0));
    NAME(parts) parts = NAME(split)(b, guarded);
    REAL inverse = C(1.0) / parts.m, half_t, half_psi, factor;
    NAME(ratio)(a, parts, inverse, guarded, &half_t, &half_psi);
    REAL t = C(2.0) * half_t;
    REAL delta = NAME(difference)(mean_p, mean_q, guarded, &factor);
    REAL z = NAME(over)(delta, parts, inverse) * factor, square = z * (C(0.5) * z);
    REAL change = t * (t + C(2.0)); /* r^2 - 1 */
    NAME(axis) result = {
        NAME(or_nan)(t * half_t + C(2.0) * half_psi, valid),
        NAME(or_nan)(square, valid),
        NAME(or_nan)(NAME(over)(z, parts, inverse), valid),
        NAME(or_nan)(change / a, valid),
        NAME(or_nan)(-NAME(over)(change + z * z, parts, inverse), valid),
    };
    return result;
}

INLINE NAME(axis) NAME(axis_variance)(REAL mean_p, REAL a, REAL mean_q, REAL b, int guarded)
{
    int valid = !guarded || (a > C(0.0) && b > C(0.0));
    NAME(parts) parts = NAME(split)(b, guarded);
    REAL inverse = C(1.0) / parts.m, half_t, half_psi, factor;
    NAME(ratio)(a, parts, inverse, guarded, &half_t, &half_psi);
    REAL delta = NAME(difference)(mean_p, mean_q, guarded, &factor);
    REAL slope = NAME(over)(delta, parts, inverse) * factor, square = (delta * factor) * (C(0.5) * slope);
    NAME(axis) result = {
        NAME(or_nan)(half_psi, valid),
        NAME(or_nan)(square, valid),
        NAME(or_nan)(slope, valid),
        NAME(or_nan)(half_t / a, valid),
        NAME(or_nan)(-NAME(over)(half_t + square, parts, inverse), valid),
    };
    return result;
}

/* Loops over a tile, for each kind: guarded against whatever numbers there are, or for ordinary ones, and whether all
 * were. */
#define LOOPS(kind, name, guarded, logarithms) \
    static int NAME(values_##name)(const REAL *restrict mean_p, const REAL *restrict scale_p, \
                                   const REAL *restrict mean_q, const REAL *restrict scale_q, REAL *restrict term, \
                                   int64_t n) \
    { \
        NAME(extremes) seen = { 0, 0 }; \
        for (int64_t i = 0; i < n; i++) { \
            NAME(see)(&seen, mean_p[i], scale_p[i], mean_q[i], scale_q[i], logarithms); \
            NAME(axis) x = NAME(axis_##kind)(mean_p[i], scale_p[i], mean_q[i], scale_q[i], guarded); \
            term[i] = x.covariance_term + x.mean_term; \
        } \
        return guarded || NAME(ordinary)(seen, logarithms); \
    } \
    static int NAME(both_##name)(const REAL *restrict mean_p, const REAL *restrict scale_p, \
                                 const REAL *restrict mean_q, const REAL *restrict scale_q, REAL *restrict term, \
                                 REAL *restrict mean_term, REAL *restrict covariance_term, int64_t n) \
    { \
        NAME(extremes) seen = { 0, 0 }; \
        for (int64_t i = 0; i < n; i++) { \
            NAME(see)(&seen, mean_p[i], scale_p[i], mean_q[i], scale_q[i], logarithms); \
            NAME(axis) x = NAME(axis_##kind)(mean_p[i], scale_p[i], mean_q[i], scale_q[i], guarded); \
            mean_term[i] = x.mean_term; \
            covariance_term[i] = x.covariance_term; \
            term[i] = x.covariance_term + x.mean_term; \
        } \
        return guarded || NAME(ordinary)(seen, logarithms); \
    } \
    static int NAME(gradients_##name)(const REAL *restrict mean_p, const REAL *restrict scale_p, \
                                      const REAL *restrict mean_q, const REAL *restrict scale_q, \
                                      const REAL *restrict weight, REAL *restrict term, REAL *restrict d_mean_p, \
                                      REAL *restrict d_scale_p, REAL *restrict d_mean_q, REAL *restrict d_scale_q, \
                                      int64_t n) \
    { \
        NAME(extremes) seen = { 0, 0 }; \
        for (int64_t i = 0; i < n; i++) { \
            NAME(see)(&seen, mean_p[i], scale_p[i], mean_q[i], scale_q[i], logarithms); \
            NAME(axis) x = NAME(axis_##kind)(mean_p[i], scale_p[i], mean_q[i], scale_q[i], guarded); \
            REAL w = weight[i], d = w * x.mean; \
            term[i] = x.covariance_term + x.mean_term; \
            d_mean_p[i] = d; \
            d_scale_p[i] = w * x.scale_p; \
            d_mean_q[i] = -d; \
            d_scale_q[i] = w * x.scale_q; \
        } \
        return guarded || NAME(ordinary)(seen, logarithms); \
    }

LOOPS(std, ordinary_std, 0, 0)
LOOPS(std, any_std, 1, 0)
LOOPS(variance, ordinary_variance, 0, 0)
LOOPS(variance, any_variance, 1, 0)
LOOPS(logvar, ordinary_logvar, 0, 1)
LOOPS(logvar, any_logvar, 1, 1)

/* What of a tile is wanted: its terms' sums always; with weights the gradients d, else both terms apart where there is a
 * place for them. */
static void NAME(tile)(int64_t kind, const REAL *const x[4], const REAL *weight, REAL *term, REAL *const d[4],
                       REAL *mean_term, REAL *covariance_term, int64_t n)
{
    static int (*const values[][3])(const REAL *, const REAL *, const REAL *, const REAL *, REAL *, int64_t) = {
        { NAME(values_ordinary_std), NAME(values_ordinary_variance), NAME(values_ordinary_logvar) },
        { NAME(values_any_std), NAME(values_any_variance), NAME(values_any_logvar) }
    };
    static int (*const both[][3])(const REAL *, const REAL *, const REAL *, const REAL *, REAL *, REAL *, REAL *,
                                  int64_t) = {
        { NAME(both_ordinary_std), NAME(both_ordinary_variance), NAME(both_ordinary_logvar) },
        { NAME(both_any_std), NAME(both_any_variance), NAME(both_any_logvar) }
    };
    static int (*const gradients[][3])(const REAL *, const REAL *, const REAL *, const REAL *, const REAL *, REAL *,
                                       REAL *, REAL *, REAL *, REAL *, int64_t) = {
        { NAME(gradients_ordinary_std), NAME(gradients_ordinary_variance), NAME(gradients_ordinary_logvar) },
        { NAME(gradients_any_std), NAME(gradients_any_variance), NAME(gradients_any_logvar) }
    };
    int done = 0;
    for (int guarded = 0; !done; guarded++)
        if (weight)
            done = gradients[guarded][kind](x[0], x[1], x[2], x[3], weight, term, d[0], d[1], d[2], d[3], n);
        else if (mean_term)
            done = both[guarded][kind](x[0], x[1], x[2], x[3], term, mean_term, covariance_term, n);
        else
            done = values[guarded][kind](x[0], x[1], x[2], x[3], term, n);
}

/* In lanes that a register holds, which also keeps the rounding errors of a long sum small. */
static double NAME(sum)(const REAL *term, int64_t n)
{
    enum { LANES = 32 };
    REAL lanes[LANES] = { 0 };
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += term[i + l];
    for (int half = LANES / 2; half; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    double total = lanes[0];
    for (; i < n; i++)
        total += term[i];
    return total;
}

/* The sums of rows that lie one behind the other. The constant lengths are those that compilers unroll. */
static void NAME(sums)(const REAL *restrict term, REAL *restrict value, int64_t rows, int64_t n)
{
#define ROWS(N) \
    case N: \
        for (int64_t r = 0; r < rows; r++) { \
            REAL total = 0; \
            for (int j = 0; j < N; j++) \
                total += term[r * N + j]; \
            value[r] = total; \
        } \
        break;
    switch (n) {
        ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6) ROWS(7) ROWS(8)
        ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14) ROWS(15) ROWS(16)
        ROWS(17) ROWS(18) ROWS(19) ROWS(20) ROWS(21) ROWS(22) ROWS(23) ROWS(24)
        ROWS(25) ROWS(26) ROWS(27) ROWS(28) ROWS(29) ROWS(30) ROWS(31)
    default:
        for (int64_t r = 0; r < rows; r++)
            value[r] = (REAL)NAME(sum)(term + r * n, n);
    }
#undef ROWS
}

enum { NAME(TILE) = 512 };

/* Rows of more than half a tile: tile by tile along each row. */
static void NAME(long_rows)(const kullback_diagonal_call *call)
{
    REAL shared[4][NAME(TILE)], unwanted[4][NAME(TILE)], term[NAME(TILE)], weights[NAME(TILE)];
    REAL *value = (REAL *)call->value;
    const REAL *weight = (const REAL *)call->weight;
    REAL *mean_term = (REAL *)call->mean_term, *covariance_term = (REAL *)call->covariance_term;
    for (int64_t row = call->first; row < call->last; row++) {
        const REAL *base[4];
        for (int k = 0; k < 4; k++) {
            base[k] = (const REAL *)call->data[k] + row * call->row[k];
            if (!call->column[k] && (row == call->first || call->row[k]))
                for (int j = 0; j < NAME(TILE); j++)
                    shared[k][j] = base[k][0];
        }
        if (weight && (row == call->first || call->weight_row))
            for (int j = 0; j < NAME(TILE); j++)
                weights[j] = weight[row * call->weight_row];
        double total = 0.0;
        for (int64_t start = 0; start < call->n; start += NAME(TILE)) {
            int64_t size = call->n - start < NAME(TILE) ? call->n - start : NAME(TILE);
            const REAL *x[4];
            REAL *d[4];
            for (int k = 0; k < 4; k++) {
                x[k] = call->column[k] ? base[k] + start : shared[k];
                d[k] = call->gradient[k] ? (REAL *)call->gradient[k] + row * call->n + start : unwanted[k];
            }
            int64_t at = row * call->n + start;
            NAME(tile)(call->parameterization, x, weight ? weights : 0, term, d, mean_term ? mean_term + at : 0,
                       covariance_term ? covariance_term + at : 0, size);
            if (value)
                total += NAME(sum)(term, size);
        }
        if (value)
            value[row] = (REAL)total;
    }
}

/* Shorter rows: as many as fill a tile, as if they were one. */
static void NAME(short_rows)(const kullback_diagonal_call *call)
{
    REAL gathered[4][NAME(TILE)], unwanted[4][NAME(TILE)], term[NAME(TILE)], weights[NAME(TILE)];
    REAL *value = (REAL *)call->value;
    const REAL *weight = (const REAL *)call->weight;
    REAL *mean_term = (REAL *)call->mean_term, *covariance_term = (REAL *)call->covariance_term;
    const int64_t n = call->n, most = NAME(TILE) / n;
    for (int64_t row = call->first; row < call->last; row += most) {
        int64_t rows = call->last - row < most ? call->last - row : most;
        const REAL *x[4];
        REAL *d[4];
        for (int k = 0; k < 4; k++) {
            const REAL *base = (const REAL *)call->data[k] + row * call->row[k];
            x[k] = base;
            if (!(call->column[k] && call->row[k] == n)) {
                if (row == call->first || call->row[k])
                    for (int64_t r = 0; r < rows; r++)
                        for (int64_t j = 0; j < n; j++)
                            gathered[k][r * n + j] = base[r * call->row[k] + j * call->column[k]];
                x[k] = gathered[k];
            }
            d[k] = call->gradient[k] ? (REAL *)call->gradient[k] + row * n : unwanted[k];
        }
        if (weight)
            for (int64_t r = 0; r < rows; r++)
                for (int64_t j = 0; j < n; j++)
                    weights[r * n + j] = weight[(row + r) * call->weight_row];
        NAME(tile)(call->parameterization, x, weight ? weights : 0, term, d, mean_term ? mean_term + row * n : 0,
                   covariance_term ? covariance_term + row * n : 0, rows * n);
        if (value)
            NAME(sums)(term, value + row, rows, n);
    }
}

static void NAME(diagonal)(const kullback_diagonal_call *call)
{
    if (call->n > NAME(TILE) / 2)
        NAME(long_rows)(call);
    else if (call->n > 0)
        NAME(short_rows)(call);
    else if (call->value)
        for (int64_t row = call->first; row < call->last; row++)
            ((REAL *)call->value)[row] = 0;
}
