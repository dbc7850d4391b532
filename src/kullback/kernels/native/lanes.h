/* As many numbers at a time as a register holds. Included once, after elementary.h for double. */

#if defined(__AVX512F__)
#define LANES 8
#define LIST(f) f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7)
#elif defined(__AVX2__)
#define LANES 4
#define LIST(f) f(0), f(1), f(2), f(3)
#else /* SSE2, NEON */
#define LANES 2
#define LIST(f) f(0), f(1)
#endif

typedef double lane __attribute__((vector_size(LANES * sizeof(double))));

#define EACH for (int l = 0; l < LANES; l++)

INLINE lane root(lane x)
{
#define ROOT(l) sqrt(x[l])
    return (lane){ LIST(ROOT) };
#undef ROOT
}

/* Half of r^2 - 1 - log r^2 for r = 1 + t, from t alone near 0 and from the two numbers elsewhere. */
INLINE lane diagonal_term(lane t, lane a, lane b, lane near)
{
    lane total;
    for (int l = 0; l < LANES; l++) {
        parts_f64 parts = split_f64(b[l], 1);
        double half_t, half_psi, s = t[l] / (2.0 + t[l]);
        ratio_f64(a[l], parts, 1.0 / parts.m, 1, &half_t, &half_psi);
        double psi = t[l] * s - s * s * s * polynomial_f64(R_f64, R_TERMS, s * s);
        double x = near[l] != 0.0 ? t[l] : 2.0 * half_t;
        total[l] = 0.5 * x * x + (near[l] != 0.0 ? psi : 2.0 * half_psi);
    }
    return total;
}

INLINE double read(const void *data, int dtype, int64_t i)
{
    return dtype == KULLBACK_FLOAT32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

INLINE void write(int64_t data, int dtype, int64_t i, double x)
{
    if (dtype == KULLBACK_FLOAT32)
        ((float *)data)[i] = (float)x;
    else
        ((double *)data)[i] = x;
}

typedef float single __attribute__((vector_size(LANES * sizeof(float))));
typedef int64_t order __attribute__((vector_size(LANES * sizeof(int64_t))));

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (order){ __VA_ARGS__ })
#endif

#define STEP(distance, FIRST, SECOND) \
    for (int i = 0; i < LANES; i++) \
        if (!(i & distance)) { \
            lane a = r[i], b = r[i + distance]; \
            r[i] = FIRST(a, b); \
            r[i + distance] = SECOND(a, b); \
        }

/* LANES numbers of each of LANES pairs, to LANES pairs of each of LANES numbers, and back. */
INLINE void transpose(lane *r)
{
#if LANES == 8
#define EVEN(a, b) SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define ODD(a, b) SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define EVEN_PAIRS(a, b) SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define ODD_PAIRS(a, b) SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#define LOW_HALVES(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH_HALVES(a, b) SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15)
    STEP(1, EVEN, ODD)
    STEP(2, EVEN_PAIRS, ODD_PAIRS)
    STEP(4, LOW_HALVES, HIGH_HALVES)
#elif LANES == 4
#define EVEN(a, b) SHUFFLE(a, b, 0, 4, 2, 6)
#define ODD(a, b) SHUFFLE(a, b, 1, 5, 3, 7)
#define LOW_HALVES(a, b) SHUFFLE(a, b, 0, 1, 4, 5)
#define HIGH_HALVES(a, b) SHUFFLE(a, b, 2, 3, 6, 7)
    STEP(1, EVEN, ODD)
    STEP(2, LOW_HALVES, HIGH_HALVES)
#else
#define EVEN(a, b) SHUFFLE(a, b, 0, 2)
#define ODD(a, b) SHUFFLE(a, b, 1, 3)
    STEP(1, EVEN, ODD)
#endif
}

/* ``count`` numbers of each pair, which begin at ``at``. */
INLINE void load(const void *data, int dtype, const int64_t *at, int count, lane *x)
{
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int l = 0; l < LANES; l++)
            if (dtype == KULLBACK_FLOAT32) {
                single v;
                memcpy(&v, (const float *)data + at[l] + i, sizeof v);
                x[i + l] = __builtin_convertvector(v, lane);
            } else
                memcpy(&x[i + l], (const double *)data + at[l] + i, sizeof(lane));
        transpose(x + i);
    }
    for (; i < count; i++) {
        lane v = { 0 };
        EACH v[l] = read(data, dtype, at[l] + i);
        x[i] = v;
    }
}

/* The same number of each pair back, one pair behind the other from ``row`` on; leaves x in disorder. */
INLINE void store(int64_t data, int dtype, int64_t row, int lanes, int count, lane *x)
{
    int i = 0;
    for (; i + LANES <= count; i += LANES) {
        transpose(x + i);
        for (int l = 0; l < lanes; l++) {
            int64_t at = (row + l) * count + i;
            if (dtype == KULLBACK_FLOAT32) {
                single v = __builtin_convertvector(x[i + l], single);
                memcpy((float *)data + at, &v, sizeof v);
            } else
                memcpy((double *)data + at, &x[i + l], sizeof(lane));
        }
    }
    for (; i < count; i++)
        for (int l = 0; l < lanes; l++)
            write(data, dtype, (row + l) * count + i, x[i][l]);
}
