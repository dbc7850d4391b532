/* The lowest inner products of vectors with many others, which are formed some rows and columns at a time. Included once
 * for each REAL, after lowest.h. */

/* Rows whose products are in registers at once, with two registers of columns each; and columns that stay in a cache. */
#if defined(__AVX512F__)
enum { NAME(BYTES) = 64, NAME(ROWS) = 12 };
#elif defined(__AVX2__)
enum { NAME(BYTES) = 32, NAME(ROWS) = 6 };
#else
enum { NAME(BYTES) = 16, NAME(ROWS) = 6 };
#endif
enum { NAME(WIDE) = NAME(BYTES) * 8 / REAL_BITS, NAME(STRIP) = 32768 / REAL_BITS };

typedef REAL NAME(many) __attribute__((vector_size(NAME(BYTES))));
typedef REAL NAME(unaligned) __attribute__((vector_size(NAME(BYTES)), aligned(REAL_BITS / 8)));

/* The products of these rows with two registers of columns of a panel, to rows of STRIP numbers. */
INLINE void NAME(multiply)(const REAL *const *rows, const REAL *panel, int64_t terms, REAL *out)
{
    NAME(many) sums[NAME(ROWS)][2];
#pragma GCC unroll 12
    for (int i = 0; i < NAME(ROWS); i++)
        sums[i][0] = sums[i][1] = (NAME(many)){ 0 };
    for (int64_t k = 0; k < terms; k++) {
        const NAME(many) a = *(const NAME(unaligned) *)(panel + k * KULLBACK_PANEL);
        const NAME(many) b = *(const NAME(unaligned) *)(panel + k * KULLBACK_PANEL + NAME(WIDE));
#pragma GCC unroll 12
        for (int i = 0; i < NAME(ROWS); i++) {
            sums[i][0] += rows[i][k] * a;
            sums[i][1] += rows[i][k] * b;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < NAME(ROWS); i++) {
        *(NAME(unaligned) *)(out + i * NAME(STRIP)) = sums[i][0];
        *(NAME(unaligned) *)(out + i * NAME(STRIP) + NAME(WIDE)) = sums[i][1];
    }
}

static void NAME(products)(const kullback_products_call *call)
{
    const int64_t terms = call->terms, count = call->count;
    REAL *strip = (REAL *)call->workspace;
    for (int64_t start = 0; start < call->width; start += NAME(STRIP)) {
        const int64_t width = call->width - start < NAME(STRIP) ? call->width - start : NAME(STRIP);
        const REAL *panels = (const REAL *)call->panels + start * terms;
        for (int64_t first = call->first; first < call->last; first += NAME(ROWS)) {
            const REAL *rows[NAME(ROWS)];
            const int64_t last = first + NAME(ROWS) < call->last ? first + NAME(ROWS) : call->last;
            for (int64_t i = 0; i < NAME(ROWS); i++) /* the last row stands in for those that are not there */
                rows[i] = (const REAL *)call->left + (first + i < last ? first + i : last - 1) * terms;
            for (int64_t j = 0; j < width; j += 2 * NAME(WIDE))
                NAME(multiply)
            (rows, panels + j / KULLBACK_PANEL * KULLBACK_PANEL * terms + j % KULLBACK_PANEL, terms, strip + j);
            for (int64_t row = first; row < last; row++)
                NAME(look_through)
            (strip + (row - first) * NAME(STRIP), start, width, count, (REAL *)call->scores + row * count,
             (int64_t *)call->columns + row * count);
        }
    }
}
