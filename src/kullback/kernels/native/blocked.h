/* Pairs of full Gaussians of more coordinates, one after the other, by the formulas of full.h in blocks of LANES x LANES.
 *
 * A matrix is stored in panels of LANES columns: lane k of panel J holds row k of these columns, so that everything that
 * is summed over k lies in a row. Sizes are rounded up to whole blocks, as if by independent coordinates that p and q have
 * in common, which contribute 0. A factor is held upwards (U = L') to solve with L, and downwards to solve with L'.
 *
 * One long file, because every step (Cholesky, two solves, products, gradients) shares the panels and the one product that is
 * held in registers, which compilers inline only within a file.
 */

/* Rows and panels of a product that are held in registers at once. */
#if defined(__AVX512F__)
enum { ROWS = 8, PANELS = 2 };
#elif defined(__AVX2__)
enum { ROWS = 4, PANELS = 2 };
#else
enum { ROWS = 2, PANELS = 4 };
#endif

typedef struct {
    int n, size, blocks; /* coordinates, the same rounded up, and in blocks */
    lane *up_p, *up_q, *down_p, *down_q, *x, *turned, *r, *t;
    double *inverse_p, *inverse_q, *inverse_t, *y;
} blocked;

enum { MATRICES = 8, VECTORS = 4 };

static int64_t rounded_up(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}

/* What one call needs, and one lane to spare for the alignment of the first. */
static int64_t full_workspace(int64_t n)
{
    const int64_t size = rounded_up(n);
    const int64_t lanes = n > KULLBACK_SIDE_BY_SIDE ? (MATRICES * size + VECTORS) * (size / LANES) : KEPT(n);
    return (lanes + 1) * (int64_t)sizeof(lane);
}

static blocked laid_out(int64_t n, int64_t workspace)
{
    blocked w;
    w.n = (int)n;
    w.size = (int)rounded_up(n);
    w.blocks = w.size / LANES;
    const int64_t matrix = (int64_t)w.size * w.blocks;
    lane *next = first_lane(workspace);
    lane **const matrices[MATRICES] = { &w.up_p, &w.up_q, &w.down_p, &w.down_q, &w.x, &w.turned, &w.r, &w.t };
    double **const vectors[VECTORS] = { &w.inverse_p, &w.inverse_q, &w.inverse_t, &w.y };
    for (int k = 0; k < MATRICES; k++, next += matrix)
        *matrices[k] = next;
    for (int k = 0; k < VECTORS; k++, next += w.blocks)
        *vectors[k] = (double *)next;
    return w;
}

#define PANEL(a, J) ((a) + (int64_t)(J) * w->size)
#define TILE_AT(a, I, J) (PANEL(a, J) + (I) * LANES)
#define ENTRY_AT(a, i, j) PANEL(a, (j) / LANES)[i][(j) % LANES]

/* c_r += sign * sum over k of a_k[r] b_k, of LANES rows r and of neighbouring panels c and b, ``next`` apart. */
INLINE void accumulate(lane *c, const lane *a, const lane *b, int64_t next, int panels, int from, int to, double sign)
{
    for (int r0 = 0; r0 < LANES; r0 += ROWS) {
        lane s[PANELS][ROWS];
        for (int p = 0; p < panels; p++)
            for (int r = 0; r < ROWS; r++)
                s[p][r] = c[p * next + r0 + r];
        for (int k = from; k < to; k++) {
            const double *left = (const double *)(a + k) + r0;
            for (int p = 0; p < panels; p++) {
                const lane right = sign * b[p * next + k];
                for (int r = 0; r < ROWS; r++)
                    s[p][r] += left[r] * right;
            }
        }
        for (int p = 0; p < panels; p++)
            for (int r = 0; r < ROWS; r++)
                c[p * next + r0 + r] = s[p][r];
    }
}

/* L^-1 C of one block of rows, by its block of U. */
INLINE void forward_block(lane *c, const lane *u, const double *inverse)
{
    lane s[LANES];
    for (int i = 0; i < LANES; i++)
        s[i] = c[i];
    for (int i = 0; i < LANES; i++) {
        s[i] *= inverse[i];
        c[i] = s[i];
        for (int r = i + 1; r < LANES; r++)
            s[r] -= u[i][r] * s[i];
    }
}

/* L^-T C likewise, by its block of L. */
INLINE void backward_block(lane *c, const lane *factor, const double *inverse)
{
    lane s[LANES];
    for (int i = 0; i < LANES; i++)
        s[i] = c[i];
    for (int i = LANES - 1; i >= 0; i--) {
        s[i] *= inverse[i];
        c[i] = s[i];
        for (int r = 0; r < i; r++)
            s[r] -= factor[i][r] * s[i];
    }
}

/* 0 below the diagonal. */
static void clear_below(const blocked *w, lane *u)
{
    for (int J = 0; J < w->blocks; J++) {
        lane *corner = TILE_AT(u, J, J);
        for (int i = 0; i < LANES; i++)
            EACH corner[i][l] = l < i ? 0.0 : corner[i][l];
        memset(corner + LANES, 0, (size_t)(w->size - (J + 1) * LANES) * sizeof(lane));
    }
}

/* U of A in place of the upper triangle of A, NaN where there is none; 0 below. */
static void blocked_cholesky(const blocked *w, lane *u, double *inverse)
{
    for (int I = 0; I < w->blocks; I++) {
        lane *corner = TILE_AT(u, I, I);
        double *scale = inverse + I * LANES;
        accumulate(corner, PANEL(u, I), PANEL(u, I), w->size, 1, 0, I * LANES, -1.0);
        for (int i = 0; i < LANES; i++) {
            double pivot = corner[i][i] > 0.0 ? sqrt(corner[i][i]) : (double)NAN;
            scale[i] = 1.0 / pivot;
            for (int l = 0; l < LANES; l++)
                corner[i][l] = l < i ? 0.0 : l == i ? pivot : corner[i][l] * scale[i];
            for (int r = i + 1; r < LANES; r++)
                corner[r] -= corner[i][r] * corner[i];
        }
        int J = I + 1;
        for (; J + PANELS <= w->blocks; J += PANELS) {
            accumulate(TILE_AT(u, I, J), PANEL(u, I), PANEL(u, J), w->size, PANELS, 0, I * LANES, -1.0);
            for (int p = 0; p < PANELS; p++)
                forward_block(TILE_AT(u, I, J + p), corner, scale);
        }
        for (; J < w->blocks; J++) {
            accumulate(TILE_AT(u, I, J), PANEL(u, I), PANEL(u, J), w->size, 1, 0, I * LANES, -1.0);
            forward_block(TILE_AT(u, I, J), corner, scale);
        }
    }
    clear_below(w, u);
}

/* L^-1 X, by U; of a lower triangular X if so said. */
static void blocked_forward(const blocked *w, const lane *u, const double *inverse, lane *x, int lower)
{
    for (int J = 0; J < w->blocks;) {
        const int panels = J + PANELS <= w->blocks ? PANELS : 1, start = lower ? J : 0;
        for (int I = start; I < w->blocks; I++) {
            lane *c = TILE_AT(x, I, J);
            if (panels == PANELS)
                accumulate(c, PANEL(u, I), PANEL(x, J), w->size, PANELS, start * LANES, I * LANES, -1.0);
            else
                accumulate(c, PANEL(u, I), PANEL(x, J), w->size, 1, start * LANES, I * LANES, -1.0);
            for (int p = 0; p < panels; p++)
                forward_block(c + p * w->size, TILE_AT(u, I, I), inverse + I * LANES);
        }
        J += panels;
    }
}

enum { WHOLE_OF, UPPER_OF, LOWER_PART };

/* L^-T X, by L: of any X; of an upper triangular one; or of any, but only what is on and below the diagonal. */
static void blocked_backward(const blocked *w, const lane *factor, const double *inverse, lane *x, int what)
{
    for (int J = 0; J < w->blocks;) {
        const int panels = J + PANELS <= w->blocks ? PANELS : 1;
        const int end = what == UPPER_OF ? J + panels : w->blocks, least = what == LOWER_PART ? J : 0;
        for (int I = end - 1; I >= least; I--) {
            lane *c = TILE_AT(x, I, J);
            if (panels == PANELS)
                accumulate(c, PANEL(factor, I), PANEL(x, J), w->size, PANELS, (I + 1) * LANES, end * LANES, -1.0);
            else
                accumulate(c, PANEL(factor, I), PANEL(x, J), w->size, 1, (I + 1) * LANES, end * LANES, -1.0);
            for (int p = 0; p < panels; p++)
                backward_block(c + p * w->size, TILE_AT(factor, I, I), inverse + I * LANES);
        }
        J += panels;
    }
}

/* X' from X. */
static void turn(const blocked *w, const lane *x, lane *into)
{
    lane r[LANES];
    for (int J = 0; J < w->blocks; J++)
        for (int I = 0; I < w->blocks; I++) {
            memcpy(r, TILE_AT(x, I, J), sizeof r);
            transpose(r);
            memcpy(TILE_AT(into, J, I), r, sizeof r);
        }
}

/* E = N + N' + N N', whole, from N and N'. */
static void blocked_excess(const blocked *w, const lane *x, const lane *turned, lane *e)
{
    lane r[LANES];
    for (int J = 0; J < w->blocks; J++)
        for (int I = J; I < w->blocks; I++) {
            lane *c = TILE_AT(e, I, J);
            for (int i = 0; i < LANES; i++)
                c[i] = TILE_AT(x, I, J)[i] + TILE_AT(turned, I, J)[i];
            accumulate(c, PANEL(turned, I), PANEL(turned, J), w->size, 1, 0, (J + 1) * LANES, 1.0);
            if (I == J)
                continue;
            memcpy(r, c, sizeof r);
            transpose(r);
            memcpy(TILE_AT(e, J, I), r, sizeof r);
        }
}

/* T = I + N and the inverses of its diagonal. */
static void with_identity(const blocked *w, const lane *x, lane *t, double *inverse)
{
    memcpy(t, x, (size_t)w->size * (size_t)w->blocks * sizeof(lane));
    for (int i = 0; i < w->size; i++) {
        ENTRY_AT(t, i, i) += 1.0;
        inverse[i] = 1.0 / ENTRY_AT(t, i, i);
    }
}

/* LANES numbers of a row, or as many as there are. */
INLINE lane read_lane(const void *data, int dtype, int64_t at, int count)
{
    lane v = { 0 };
    if (count < LANES)
        for (int l = 0; l < count; l++)
            v[l] = read(data, dtype, at + l);
    else if (dtype == KULLBACK_FLOAT32) {
        single s;
        memcpy(&s, (const float *)data + at, sizeof s);
        v = __builtin_convertvector(s, lane);
    } else
        memcpy(&v, (const double *)data + at, sizeof v);
    return v;
}

INLINE void write_lane(int64_t data, int dtype, int64_t at, int count, lane v)
{
    if (count < LANES)
        for (int l = 0; l < count; l++)
            write(data, dtype, at + l, v[l]);
    else if (dtype == KULLBACK_FLOAT32) {
        single s = __builtin_convertvector(v, single);
        memcpy((float *)data + at, &s, sizeof s);
    } else
        memcpy((double *)data + at, &v, sizeof v);
}

/* A matrix as it was given, with ``diagonal`` for the coordinates that fill the last block. */
INLINE void load_matrix(const blocked *w, const void *data, int dtype, int64_t at, double diagonal, lane *x)
{
    const int whole = w->n / LANES, rest = w->n % LANES;
    for (int i = 0; i < w->n; i++, at += w->n) {
        for (int J = 0; J < whole; J++)
            PANEL(x, J)[i] = read_lane(data, dtype, at + J * LANES, LANES);
        if (rest)
            PANEL(x, whole)[i] = read_lane(data, dtype, at + whole * LANES, rest);
    }
    for (int J = 0; J < w->blocks; J++)
        for (int i = w->n; i < w->size; i++)
            PANEL(x, J)[i] = (lane){ 0 };
    for (int i = w->n; i < w->size; i++)
        ENTRY_AT(x, i, i) = diagonal;
}

/* The mean of A and A', in place. */
static void make_symmetric(const blocked *w, lane *a)
{
    lane r[LANES];
    for (int J = 0; J < w->blocks; J++)
        for (int I = 0; I <= J; I++) {
            lane *upper = TILE_AT(a, I, J);
            memcpy(r, TILE_AT(a, J, I), sizeof r);
            transpose(r);
            for (int i = 0; i < LANES; i++)
                r[i] = upper[i] = 0.5 * upper[i] + 0.5 * r[i];
            transpose(r);
            memcpy(TILE_AT(a, J, I), r, sizeof r);
        }
}

/* U and the inverses of its diagonal, from a covariance or from L. */
INLINE void load_factor(const blocked *w, const void *data, int dtype, int64_t at, int kind, lane *u, double *inverse)
{
    load_matrix(w, data, dtype, at, 1.0, kind == KULLBACK_COVARIANCE ? u : w->t);
    if (kind == KULLBACK_COVARIANCE) {
        make_symmetric(w, u);
        blocked_cholesky(w, u, inverse);
        return;
    }
    turn(w, w->t, u);
    for (int i = 0; i < w->size; i++) {
        double pivot = ENTRY_AT(u, i, i);
        ENTRY_AT(u, i, i) = pivot > 0.0 ? pivot : (double)NAN;
        inverse[i] = 1.0 / ENTRY_AT(u, i, i);
    }
    clear_below(w, u);
}

/* y := L^-1 y and L^-T y. */
INLINE void solve_vector(const blocked *w, const lane *factor, const double *inverse, double *y, int downwards)
{
    for (int step = 0; step < w->size; step++) {
        const int k = downwards ? step : w->size - 1 - step;
        const double x = y[k] *= inverse[k];
        for (int J = downwards ? k / LANES : 0; J < (downwards ? w->blocks : k / LANES + 1); J++) {
            const lane *row = PANEL(factor, J) + k;
            for (int l = 0; l < LANES; l++)
                y[J * LANES + l] -= (downwards ? J * LANES + l > k : J * LANES + l < k) ? x * (*row)[l] : 0.0;
        }
    }
}

/* Where N is small, one Newton step towards the E of the difference of two covariances of double. */
static void sharpen(const blocked *w, const kullback_full_call *call, const int64_t at[4])
{
    load_matrix(w, (const void *)call->data[1], KULLBACK_FLOAT64, at[1], 0.0, w->r);
    load_matrix(w, (const void *)call->data[3], KULLBACK_FLOAT64, at[3], 0.0, w->t);
    const int64_t count = (int64_t)w->size * w->blocks;
    for (int64_t i = 0; i < count; i++)
        w->r[i] -= w->t[i];
    make_symmetric(w, w->r);
    blocked_forward(w, w->up_q, w->inverse_q, w->r, 0);
    turn(w, w->r, w->t);
    blocked_forward(w, w->up_q, w->inverse_q, w->t, 0);
    /* What is left of E, whitened by T. */
    turn(w, w->x, w->turned);
    blocked_excess(w, w->x, w->turned, w->r);
    for (int64_t i = 0; i < count; i++)
        w->r[i] = w->t[i] - w->r[i];
    with_identity(w, w->turned, w->t, w->inverse_t);
    blocked_forward(w, w->t, w->inverse_t, w->r, 0);
    turn(w, w->r, w->down_q);
    blocked_forward(w, w->t, w->inverse_t, w->down_q, 0);
    /* N += T H with H the lower triangle and half of the diagonal. */
    for (int J = 0; J < w->blocks; J++) {
        lane *corner = TILE_AT(w->down_q, J, J);
        for (int i = 0; i < LANES; i++)
            EACH corner[i][l] = l < i ? corner[i][l] : l == i ? 0.5 * corner[i][l] : 0.0;
    }
    for (int J = 0; J < w->blocks; J++)
        for (int I = J; I < w->blocks; I++)
            accumulate(TILE_AT(w->x, I, J), PANEL(w->t, I), PANEL(w->down_q, J), w->size, 1, J * LANES, (I + 1) * LANES,
                       1.0);
}

/* Factors, N and y of one pair, and its divergence. */
INLINE double blocked_value(const blocked *w, const kullback_full_call *call, int64_t row, int dtype, int kind)
{
    const void *data[4];
    int64_t at[4];
    for (int k = 0; k < 4; k++) {
        data[k] = (const void *)call->data[k];
        at[k] = row * call->row[k];
    }
    load_factor(w, data[1], dtype, at[1], kind, w->up_p, w->inverse_p);
    if (row == call->first || call->row[3])
        load_factor(w, data[3], dtype, at[3], kind, w->up_q, w->inverse_q);
    const int64_t count = (int64_t)w->size * w->blocks;
    for (int64_t i = 0; i < count; i++)
        w->r[i] = w->up_p[i] - w->up_q[i];
    turn(w, w->r, w->x);
    blocked_forward(w, w->up_q, w->inverse_q, w->x, 1);
    for (int i = 0; i < w->size; i++)
        w->y[i] = i < w->n ? read(data[0], dtype, at[0] + i) - read(data[2], dtype, at[2] + i) : 0.0;
    solve_vector(w, w->up_q, w->inverse_q, w->y, 1);
    double near = 0.0;
    if (dtype == KULLBACK_FLOAT64 && kind == KULLBACK_COVARIANCE) {
        lane squares = { 0 };
        for (int64_t i = 0; i < count; i++)
            squares += w->x[i] * w->x[i];
        double total = 0.0;
        EACH total += squares[l];
        near = total < NEAR;
        if (near)
            sharpen(w, call, at);
    }
    lane total = { 0 };
    for (int I = 0; I < w->blocks; I++) {
        lane t, a, b, y;
        EACH {
            const int i = I * LANES + l;
            t[l] = ENTRY_AT(w->x, i, i);
            a[l] = ENTRY_AT(w->up_p, i, i);
            b[l] = ENTRY_AT(w->up_q, i, i);
            y[l] = w->y[i];
        }
        total += diagonal_term(t, a, b, near + (lane){ 0 }) + 0.5 * y * y;
        const lane *corner = TILE_AT(w->x, I, I);
        for (int i = 0; i < LANES; i++)
            EACH total[l] += l < i ? 0.5 * corner[i][l] * corner[i][l] : 0.0;
        for (int k = (I + 1) * LANES; k < w->size; k++)
            total += 0.5 * PANEL(w->x, I)[k] * PANEL(w->x, I)[k];
    }
    double value = 0.0;
    EACH value += total[l];
    return value;
}

/* A derivative as it is given back: of a factor its lower triangle, of a covariance symmetric by its lower triangle. */
INLINE void write_matrix(const blocked *w, int64_t data, int dtype, int kind, int64_t row, double weight, const lane *x)
{
    lane r[LANES];
    for (int J = 0; J < w->blocks; J++) {
        const int count = w->n - J * LANES < LANES ? w->n - J * LANES : LANES;
        for (int I = 0; I < w->blocks; I++) {
            memcpy(r, I >= J ? TILE_AT(x, I, J) : TILE_AT(x, J, I), sizeof r);
            if (I < J && kind == KULLBACK_COVARIANCE)
                transpose(r);
            else if (I < J)
                memset(r, 0, sizeof r);
            else if (I == J)
                for (int i = 0; i < LANES; i++)
                    for (int l = i + 1; l < LANES; l++)
                        r[i][l] = kind == KULLBACK_COVARIANCE ? r[l][i] : 0.0;
            for (int i = 0; i < LANES && I * LANES + i < w->n; i++)
                write_lane(data, dtype, (row * w->n + I * LANES + i) * w->n + J * LANES, count, weight * r[i]);
        }
    }
}

INLINE void blocked_gradients(const blocked *w, const kullback_full_call *call, int64_t row, int dtype, int kind)
{
    const double weight = read((const void *)call->weight, dtype, row * call->weight_row);
    const int64_t count = (int64_t)w->size * w->blocks;
    const int factors = kind == KULLBACK_SCALE_TRIL;
    turn(w, w->up_q, w->down_q);
    turn(w, w->x, w->turned);
    if (call->gradient[1]) {
        /* R' with R T = N, that is T' R' = N'. */
        with_identity(w, w->x, w->t, w->inverse_t);
        memcpy(w->r, w->turned, (size_t)count * sizeof(lane));
        blocked_backward(w, w->t, w->inverse_t, w->r, UPPER_OF);
        if (factors) {
            for (int64_t i = 0; i < count; i++)
                w->r[i] += w->x[i];
            blocked_backward(w, w->down_q, w->inverse_q, w->r, LOWER_PART);
            write_matrix(w, call->gradient[1], dtype, kind, row, weight, w->r);
        } else {
            turn(w, w->up_p, w->down_p);
            turn(w, w->r, w->t);
            for (int64_t i = 0; i < count; i++)
                w->t[i] += w->turned[i];
            blocked_backward(w, w->down_p, w->inverse_p, w->t, WHOLE_OF);
            turn(w, w->t, w->r);
            blocked_backward(w, w->down_q, w->inverse_q, w->r, LOWER_PART);
            write_matrix(w, call->gradient[1], dtype, kind, row, 0.5 * weight, w->r);
        }
    }
    if (call->gradient[3]) {
        blocked_excess(w, w->x, w->turned, w->r);
        for (int J = 0; J < w->blocks; J++) {
            lane y;
            memcpy(&y, w->y + J * LANES, sizeof y);
            for (int i = 0; i < w->size; i++)
                PANEL(w->r, J)[i] += w->y[i] * y;
        }
        blocked_backward(w, w->down_q, w->inverse_q, w->r, factors ? LOWER_PART : WHOLE_OF);
        if (!factors) {
            turn(w, w->r, w->t);
            blocked_backward(w, w->down_q, w->inverse_q, w->t, LOWER_PART);
        }
        write_matrix(w, call->gradient[3], dtype, kind, row, factors ? -weight : -0.5 * weight, factors ? w->r : w->t);
    }
    if (call->gradient[0] || call->gradient[2]) {
        solve_vector(w, w->down_q, w->inverse_q, w->y, 0);
        for (int i = 0; i < w->n; i++)
            for (int side = 0; side < 2; side++)
                if (call->gradient[2 * side])
                    write(call->gradient[2 * side], dtype, row * w->n + i, (side ? -weight : weight) * w->y[i]);
    }
}

INLINE void pairs_in_blocks(const kullback_full_call *call, int dtype, int kind)
{
    const blocked layout = laid_out(call->n, call->workspace), *w = &layout;
    for (int64_t row = call->first; row < call->last; row++) {
        double value = blocked_value(w, call, row, dtype, kind);
        if (call->value)
            write(call->value, dtype, row, value);
        if (call->weight)
            blocked_gradients(w, call, row, dtype, kind);
    }
}

static void one_by_one(const kullback_full_call *call)
{
    if (call->parameterization == KULLBACK_COVARIANCE)
        pairs_in_blocks(call, (int)call->dtype, KULLBACK_COVARIANCE);
    else
        pairs_in_blocks(call, (int)call->dtype, KULLBACK_SCALE_TRIL);
}
