/* Pairs of full Gaussians of few coordinates: LANES pairs side by side, so that what is done to one number of a matrix is
 * done to that of every pair at once. Included once, after lanes.h. Everything is computed in double: for float inputs that
 * is exact enough by itself, for double ones a Newton step restores what the factors lost near p = q.
 *
 * With L the Cholesky factors, N = tril(Lq^-1 (Lp - Lq)) and y = Lq^-1 delta the divergence is
 * sum of half (t^2 + 2 (t - log(1 + t))) over t = N_kk, plus half of the squares below the diagonal and of y: no
 * inverse, no determinant, nothing that cancels. With T = I + N and E = N + N' + N N' its derivatives are
 *   mean of p    Lq^-T y
 *   covariances  1/2 Lp^-T (N' + N T^-1) Lq^-1   and   -1/2 Lq^-T (E + y y') Lq^-1
 *   factors      tril(Lq^-T (N + (N T^-1)'))     and   -tril(Lq^-T (E + y y')).
 *
 * One long file: value and gradients of a pair share the triangle that is kept in a cache, and are inlined into one loop.
 */

/* Up to this squared norm of N a Newton step improves on the difference of the factors. Both agree around it. */
#define NEAR 0.0625

#define AT(a, i, j) a[(i) * n + (j)]

/* Sums of so many neighbouring rows (or columns) at once, which do not wait for each other. */
#if defined(__AVX512F__)
enum { BLOCK = 8 };
#else
enum { BLOCK = 4 };
#endif

/* WORK(at, count) for all of ``first`` to ``end``, in blocks whose count is a constant. */
#define IN_BLOCKS(first, end, WORK) \
    do { \
        int at = (first); \
        for (; at + BLOCK <= (end); at += BLOCK) \
            WORK(at, BLOCK); \
        if (BLOCK > 4 && at + 4 <= (end)) { \
            WORK(at, 4); \
            at += 4; \
        } \
        if (at + 2 <= (end)) { \
            WORK(at, 2); \
            at += 2; \
        } \
        if (at < (end)) \
            WORK(at, 1); \
    } while (0)

/* Entries (i, j) to (i + count, j) of the factor, below the diagonal or from it on. */
INLINE void factor_column(lane *restrict a, int i, int j, int count, lane *restrict inverse, int n)
{
    lane s[BLOCK];
    for (int r = 0; r < count; r++)
        s[r] = AT(a, i + r, j);
    for (int k = 0; k < j; k++)
        for (int r = 0; r < count; r++)
            s[r] -= AT(a, i + r, k) * AT(a, j, k);
    if (i == j) {
        s[0] = root(s[0]);
        *inverse = 1.0 / s[0];
        AT(a, j, j) = s[0] + 0.0 * *inverse; /* NaN for 0, as it is for less */
    }
    for (int r = i == j; r < count; r++)
        AT(a, i + r, j) = s[r] * *inverse;
}

/* The lower factor in place of the lower triangle, NaN where there is none. */
INLINE void cholesky(lane *a, int n)
{
    for (int j = 0; j < n; j++) {
        lane inverse = { 0 };
#define COLUMN(i, count) factor_column(a, i, j, count, &inverse, n)
        IN_BLOCKS(j, n, COLUMN);
#undef COLUMN
    }
}

INLINE void inverses(const lane *restrict factor, lane *restrict inverse, int n)
{
    for (int i = 0; i < n; i++)
        inverse[i] = 1.0 / AT(factor, i, i);
}

/* L^-1 X of ``count`` columns with a step between their entries and one between columns; those before ``from`` are 0. */
INLINE void forward_columns(const lane *restrict factor, const lane *restrict inverse, lane *restrict x, int step,
                            int next, int count, int from, int n)
{
    for (int i = from; i < n; i++) {
        lane s[BLOCK];
        for (int r = 0; r < count; r++)
            s[r] = x[r * next + i * step];
        for (int k = from; k < i; k++)
            for (int r = 0; r < count; r++)
                s[r] -= AT(factor, i, k) * x[r * next + k * step];
        for (int r = 0; r < count; r++)
            x[r * next + i * step] = s[r] * inverse[i];
    }
}

/* L^-1 X; of a lower triangular X if so said. */
INLINE void forward(const lane *factor, const lane *inverse, lane *x, int step, int next, int columns, int lower, int n)
{
#define COLUMNS(j, count) forward_columns(factor, inverse, x + (j) * next, step, next, count, lower ? j : 0, n)
    IN_BLOCKS(0, columns, COLUMNS);
#undef COLUMNS
}

INLINE void backward_columns(const lane *restrict factor, const lane *restrict inverse, lane *restrict x, int step,
                             int next, int count, int n)
{
    for (int i = n - 1; i >= 0; i--) {
        lane s[BLOCK];
        for (int r = 0; r < count; r++)
            s[r] = x[r * next + i * step];
        for (int k = i + 1; k < n; k++)
            for (int r = 0; r < count; r++)
                s[r] -= AT(factor, k, i) * x[r * next + k * step];
        for (int r = 0; r < count; r++)
            x[r * next + i * step] = s[r] * inverse[i];
    }
}

/* L^-T X. */
INLINE void backward(const lane *factor, const lane *inverse, lane *x, int step, int next, int columns, int n)
{
#define COLUMNS(j, count) backward_columns(factor, inverse, x + (j) * next, step, next, count, n)
    IN_BLOCKS(0, columns, COLUMNS);
#undef COLUMNS
}

/* L^-1 A L^-T in place of a whole symmetric matrix. */
INLINE void whiten(const lane *factor, const lane *inverse, lane *a, int n)
{
    forward(factor, inverse, a, n, 1, n, 0, n);
    forward(factor, inverse, a, 1, n, n, 0, n);
}

/* N + N' + N N' of a lower triangular N, whole. */
INLINE void excess_of(const lane *restrict x, lane *restrict e, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            lane s = i == j ? 2.0 * AT(x, i, j) : AT(x, i, j);
            for (int k = 0; k <= j; k++)
                s += AT(x, i, k) * AT(x, j, k);
            AT(e, i, j) = AT(e, j, i) = s;
        }
}

/* One Newton step of N towards the whole matrix E, in the lanes where E is small. */
INLINE void correct(lane *x, lane *e, const lane near, lane *r, lane *t, lane *inverse, int n)
{
    for (int i = 0; i < n * n; i++) /* elsewhere a step that changes nothing */
        EACH t[i][l] = near[l] != 0.0 && i % n <= i / n ? x[i][l] : 0.0;
    excess_of(t, r, n);
    for (int i = 0; i < n * n; i++)
        EACH r[i][l] = near[l] != 0.0 ? e[i][l] - r[i][l] : 0.0;
    for (int i = 0; i < n; i++)
        AT(t, i, i) += 1.0;
    inverses(t, inverse, n);
    whiten(t, inverse, r, n);
    for (int j = 0; j < n; j++)
        for (int i = n - 1; i >= j; i--) {
            lane s = 0.5 * AT(t, i, j) * AT(r, j, j);
            for (int k = j + 1; k <= i; k++)
                s += AT(t, i, k) * AT(r, k, j);
            AT(x, i, j) += s;
        }
}

/* What is kept of the pairs in hand: matrices and vectors in memory of the caller, or of the stack where they are small. */
typedef struct {
    lane *p, *q, *x, *e, *r, *t;
    lane *y, *inverse_p, *inverse_q, *spare;
    lane weight, value;
} workspace;

#define KEPT(n) (6 * (n) * (n) + 4 * (n)) /* lanes */

INLINE workspace kept_in(lane *memory, int n)
{
    lane *vectors = memory + 6 * n * n;
    return (workspace){ .p = memory,
                        .q = memory + n * n,
                        .x = memory + 2 * n * n,
                        .e = memory + 3 * n * n,
                        .r = memory + 4 * n * n,
                        .t = memory + 5 * n * n,
                        .y = vectors,
                        .inverse_p = vectors + n,
                        .inverse_q = vectors + 2 * n,
                        .spare = vectors + 3 * n };
}

/* Factors, N and y of the pairs from row on; lanes beyond the last row repeat it. */
INLINE void prepare(const kullback_full_call *call, workspace *w, int64_t row, int n, int dtype, int kind)
{
    int64_t last[LANES], at[4][LANES];
    for (int l = 0; l < LANES; l++) {
        last[l] = row + l < call->last ? row + l : call->last - 1;
        for (int k = 0; k < 4; k++)
            at[k][l] = last[l] * call->row[k];
    }
    load((void *)call->data[1], dtype, at[1], n * n, w->p);
    load((void *)call->data[3], dtype, at[3], n * n, w->q);
    if (kind == KULLBACK_COVARIANCE)
        for (int i = 0; i < n; i++)
            for (int j = 0; j < i; j++) {
                AT(w->p, i, j) = 0.5 * AT(w->p, i, j) + 0.5 * AT(w->p, j, i);
                AT(w->q, i, j) = 0.5 * AT(w->q, i, j) + 0.5 * AT(w->q, j, i);
            }
    const int correctable = dtype == KULLBACK_FLOAT64 && kind == KULLBACK_COVARIANCE;
    if (correctable)
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                AT(w->e, i, j) = AT(w->e, j, i) = AT(w->p, i, j) - AT(w->q, i, j);
    if (kind == KULLBACK_COVARIANCE) {
        cholesky(w->p, n);
        cholesky(w->q, n);
    } else
        for (int i = 0; i < n; i++)
            EACH {
                AT(w->p, i, i)[l] = AT(w->p, i, i)[l] > 0.0 ? AT(w->p, i, i)[l] : (double)NAN;
                AT(w->q, i, i)[l] = AT(w->q, i, i)[l] > 0.0 ? AT(w->q, i, i)[l] : (double)NAN;
            }
    inverses(w->p, w->inverse_p, n);
    inverses(w->q, w->inverse_q, n);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            AT(w->x, i, j) = j <= i ? AT(w->p, i, j) - AT(w->q, i, j) : (lane){ 0 };
    forward(w->q, w->inverse_q, w->x, n, 1, n, 1, n);
    load((void *)call->data[0], dtype, at[0], n, w->y);
    load((void *)call->data[2], dtype, at[2], n, w->spare);
    for (int i = 0; i < n; i++)
        w->y[i] -= w->spare[i];
    forward(w->q, w->inverse_q, w->y, 1, 0, 1, 0, n);
    lane near = { 0 };
    if (correctable) {
        double any = 0.0;
        for (int i = 0; i < n * n; i++)
            near += w->x[i] * w->x[i];
        EACH any += near[l] = near[l] < NEAR ? 1.0 : 0.0;
        if (any != 0.0) {
            whiten(w->q, w->inverse_q, w->e, n);
            correct(w->x, w->e, near, w->r, w->t, w->spare, n);
        }
    }
    lane total = { 0 };
    for (int i = 0; i < n; i++) {
        total += diagonal_term(AT(w->x, i, i), AT(w->p, i, i), AT(w->q, i, i), near);
        for (int j = 0; j < i; j++)
            total += 0.5 * AT(w->x, i, j) * AT(w->x, i, j);
        total += 0.5 * w->y[i] * w->y[i];
    }
    w->value = total;
}

/* A derivative as it is given back: of a factor lower triangular, of a covariance half and symmetric. */
INLINE void settle(const lane *x, lane *result, lane weight, int factors, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (factors)
                AT(result, i, j) = j <= i ? weight * AT(x, i, j) : (lane){ 0 };
            else
                AT(result, i, j) = weight * (0.25 * (AT(x, i, j) + AT(x, j, i)));
}

/* The derivatives, each written as it is ready. */
INLINE void differentiate(const kullback_full_call *call, workspace *w, int64_t row, int n, int dtype, int kind)
{
    const int lanes = call->last - row < LANES ? (int)(call->last - row) : LANES;
    const int factors = kind == KULLBACK_SCALE_TRIL;
    EACH w->weight[l] = l < lanes ? read((void *)call->weight, dtype, (row + l) * call->weight_row) : 0.0;
    if (call->gradient[0] || call->gradient[2]) {
        lane *mean = w->spare;
        for (int i = 0; i < n; i++)
            mean[i] = w->y[i];
        backward(w->q, w->inverse_q, mean, 1, 0, 1, n);
        for (int side = 0; side < 2; side++)
            if (call->gradient[2 * side]) {
                for (int i = 0; i < n; i++)
                    w->r[i] = (side ? -1.0 : 1.0) * w->weight * mean[i];
                store(call->gradient[2 * side], dtype, row, lanes, n, w->r);
            }
    }
    if (call->gradient[1]) {
        /* R = N T^-1, lower triangular: R T = N, or T' R' = N', column by column of R'. */
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) {
                AT(w->r, i, j) = j <= i ? AT(w->x, i, j) : (lane){ 0 };
                AT(w->t, i, j) = i == j ? 1.0 + AT(w->x, i, j) : AT(w->r, i, j);
            }
        inverses(w->t, w->spare, n);
        backward(w->t, w->spare, w->r, 1, n, n, n);
        /* M = N' + R, or N + R' for factors. */
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                if (factors)
                    AT(w->t, i, j) = i == j ? AT(w->x, i, j) + AT(w->r, j, i) : j < i ? AT(w->x, i, j) : AT(w->r, j, i);
                else
                    AT(w->t, i, j) = i == j ? AT(w->x, j, i) + AT(w->r, i, j) : i < j ? AT(w->x, j, i) : AT(w->r, i, j);
        backward(factors ? w->q : w->p, factors ? w->inverse_q : w->inverse_p, w->t, n, 1, n, n);
        if (!factors)
            backward(w->q, w->inverse_q, w->t, 1, n, n, n);
        settle(w->t, w->r, w->weight, factors, n);
        store(call->gradient[1], dtype, row, lanes, n * n, w->r);
    }
    if (call->gradient[3]) {
        excess_of(w->x, w->e, n);
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                AT(w->e, i, j) += w->y[i] * w->y[j];
        backward(w->q, w->inverse_q, w->e, n, 1, n, n);
        if (!factors)
            backward(w->q, w->inverse_q, w->e, 1, n, n, n);
        settle(w->e, w->r, -w->weight, factors, n);
        store(call->gradient[3], dtype, row, lanes, n * n, w->r);
    }
}

INLINE void pairs(const kullback_full_call *call, lane *memory, int n, int dtype, int kind)
{
    workspace w = kept_in(memory, n);
    for (int64_t row = call->first; row < call->last; row += LANES) {
        prepare(call, &w, row, n, dtype, kind);
        if (call->value)
            for (int64_t l = 0; l < LANES && row + l < call->last; l++)
                write(call->value, dtype, row + l, w.value[l]);
        if (call->weight)
            differentiate(call, &w, row, n, dtype, kind);
    }
}

/* The first whole lane of the caller's memory. */
static lane *first_lane(int64_t workspace)
{
    const int64_t line = sizeof(lane);
    return (lane *)((workspace + line - 1) / line * line);
}

/* Compiled for each parameterization, and for the smallest sizes, whose loops then are no loops, for each dtype. */
#define PAIRS(size, n, dtype, memory) \
    static void pairs_##size(const kullback_full_call *call) \
    { \
        memory; \
        if (call->parameterization == KULLBACK_COVARIANCE) \
            pairs(call, kept, n, dtype, KULLBACK_COVARIANCE); \
        else \
            pairs(call, kept, n, dtype, KULLBACK_SCALE_TRIL); \
    }

PAIRS(of_2_float, 2, KULLBACK_FLOAT32, lane kept[KEPT(2)])
PAIRS(of_2_double, 2, KULLBACK_FLOAT64, lane kept[KEPT(2)])
PAIRS(of_3_float, 3, KULLBACK_FLOAT32, lane kept[KEPT(3)])
PAIRS(of_3_double, 3, KULLBACK_FLOAT64, lane kept[KEPT(3)])
PAIRS(of_any, (int)call->n, (int)call->dtype, lane *kept = first_lane(call->workspace))

static void side_by_side(const kullback_full_call *call)
{
    const int single = call->dtype == KULLBACK_FLOAT32;
    if (call->n == 2)
        (single ? pairs_of_2_float : pairs_of_2_double)(call);
    else if (call->n == 3)
        (single ? pairs_of_3_float : pairs_of_3_double)(call);
    else
        pairs_of_any(call);
}
