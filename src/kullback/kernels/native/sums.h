/* What adds up over rows of diagonal Gaussians, in double precision, whatever the operands are. Included once, after
 * diagonal.h for double. */

#define WIDEN(type) \
    { \
        const type *restrict from = (const type *)data + first; \
        for (int64_t r = 0; r < rows; r++) \
            for (int64_t j = 0; j < n; j++) \
                to[r * n + j] = column ? from[r * row + j] : from[r * row]; \
    }

/* Some coordinates of some rows, one row behind the other. */
static void widen(int64_t data, int64_t dtype, int64_t first, int64_t row, int64_t column, int64_t rows, int64_t n,
                  double *restrict to)
{
    if (column && row == n) {
        n *= rows;
        rows = 1;
    }
    if (dtype == KULLBACK_FLOAT32)
        WIDEN(float)
    else
        WIDEN(double)
}

/* Adds rows that lie one behind the other: first to each other, which keeps the rounding errors of a long sum small. */
static void add_rows(double *restrict x, int64_t rows, int64_t n, double *restrict total)
{
    for (int64_t r = 1; r < rows; r++)
        for (int64_t j = 0; j < n; j++)
            x[j] += x[r * n + j];
    for (int64_t j = 0; j < n; j++)
        total[j] += x[j];
}

/* Tile by tile: as many short rows as fill one, or parts of a long row. */
static void sums(const kullback_sums_call *call)
{
    double gathered[4][TILE_f64], term[TILE_f64], mean_term[TILE_f64], covariance_term[TILE_f64];
    double *value = (double *)call->value;
    double *of_means = (double *)call->mean_term, *of_covariances = (double *)call->covariance_term;
    const int64_t n = call->n, width = n < TILE_f64 ? n : TILE_f64, abreast = n && width == n ? TILE_f64 / n : 1;
    for (int64_t j = 0; j < n; j++)
        of_means[j] = of_covariances[j] = 0.0;
    for (int64_t row = 0; row < call->rows; row += abreast) {
        const int64_t rows = call->rows - row < abreast ? call->rows - row : abreast;
        for (int64_t r = 0; r < rows; r++)
            value[row + r] = 0.0;
        for (int64_t start = 0; start < n; start += width) {
            const int64_t size = n - start < width ? n - start : width;
            const double *x[4];
            for (int k = 0; k < 4; k++) {
                const int64_t first = row * call->row[k] + start * call->column[k];
                x[k] = gathered[k];
                if (call->dtype == KULLBACK_FLOAT64 && call->column[k] && (call->row[k] == size || rows == 1))
                    x[k] = (const double *)call->data[k] + first;
                else if (row == 0 || call->row[k] || width < n) /* else what all rows share is there already */
                    widen(call->data[k], call->dtype, first, call->row[k], call->column[k], rows, size, gathered[k]);
            }
            tile_f64(call->parameterization, x, 0, term, 0, mean_term, covariance_term, rows * size);
            if (width == n)
                sums_f64(term, value + row, rows, n);
            else
                value[row] += sum_f64(term, size);
            add_rows(mean_term, rows, size, of_means + start);
            add_rows(covariance_term, rows, size, of_covariances + start);
        }
    }
}

enum { OF_MEANS, OF_SQUARES, OF_VARIANCES };

/* What is added up of so many rows of coordinates, in their place. */
static void added(int what, int64_t parameterization, const double *mean, int64_t rows, int64_t n, double *restrict x)
{
    if (what == OF_SQUARES)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t j = 0; j < n; j++)
                x[r * n + j] = (x[r * n + j] - mean[j]) * (x[r * n + j] - mean[j]);
    else if (what == OF_VARIANCES && parameterization == KULLBACK_STD)
        for (int64_t i = 0; i < rows * n; i++)
            x[i] *= x[i];
    else if (what == OF_VARIANCES && parameterization == KULLBACK_LOGVAR)
        for (int64_t i = 0; i < rows * n; i++) {
            double once, twice;
            scaled_f64(1.0, x[i], 1, &once, &twice);
            x[i] = once;
        }
}

static void moments(const kullback_moments_call *call)
{
    double x[TILE_f64];
    double *const totals[] = { (double *)call->mean, (double *)call->squares, (double *)call->variance };
    const int64_t n = call->n, width = n < TILE_f64 ? n : TILE_f64, abreast = n && width == n ? TILE_f64 / n : 1;
    for (int what = OF_MEANS; what <= OF_VARIANCES; what++) {
        const int k = what == OF_VARIANCES;
        for (int64_t j = 0; j < n; j++)
            totals[what][j] = 0.0;
        for (int64_t row = 0; row < call->rows; row += abreast) {
            const int64_t rows = call->rows - row < abreast ? call->rows - row : abreast;
            for (int64_t start = 0; start < n; start += width) {
                const int64_t size = n - start < width ? n - start : width;
                const int64_t first = row * call->row[k] + start * call->column[k];
                widen(call->data[k], call->dtype, first, call->row[k], call->column[k], rows, size, x);
                added(what, call->parameterization, totals[OF_MEANS] + start, rows, size, x);
                add_rows(x, rows, size, totals[what] + start);
            }
        }
        for (int64_t j = 0; j < n && what != OF_SQUARES; j++)
            totals[what][j] /= (double)call->rows;
    }
}
