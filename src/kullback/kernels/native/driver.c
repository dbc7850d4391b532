/* Stands alone, for the sanitizers: every shape and layout on memory of exactly the size that the interface names.
 *
 * Each result is compared with the textbook formula in long double, loosely: that it is right to the last digits is for
 * the tests of the library to show, that no byte beyond an array is touched is for this.
 */
#include "kullback.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return 0.2 + 2.0 * (double)(state >> 11) / 9007199254740992.0;
}

static void set(void *data, int64_t dtype, int64_t i, double x)
{
    if (dtype == KULLBACK_FLOAT32)
        ((float *)data)[i] = (float)x;
    else
        ((double *)data)[i] = x;
}

static double get(const void *data, int64_t dtype, int64_t i)
{
    return dtype == KULLBACK_FLOAT32 ? (double)((const float *)data)[i] : ((const double *)data)[i];
}

static void *array(int64_t dtype, int64_t count)
{
    void *data = malloc((size_t)count * (dtype == KULLBACK_FLOAT32 ? 4 : 8));
    if (!data)
        exit(2);
    for (int64_t i = 0; i < count; i++)
        set(data, dtype, i, uniform());
    return data;
}

static long double log_variance(double x, int64_t parameterization)
{
    return parameterization == KULLBACK_LOGVAR ? (long double)x : (parameterization == KULLBACK_STD ? 2 : 1) * logl(x);
}

static int wrong(const kullback_diagonal_call *call)
{
    for (int64_t row = call->first; row < call->last; row++) {
        long double want = 0;
        for (int64_t j = 0; j < call->n; j++) {
            double x[4];
            for (int k = 0; k < 4; k++)
                x[k] = get((void *)call->data[k], call->dtype, row * call->row[k] + j * call->column[k]);
            long double p = log_variance(x[1], call->parameterization), q = log_variance(x[3], call->parameterization);
            long double delta = (long double)x[0] - x[2];
            want += 0.5L * (expl(p - q) - 1 - (p - q)) + 0.5L * delta * delta * expl(-q);
        }
        double got = get((void *)call->value, call->dtype, row), parts = 0;
        for (int64_t j = 0; call->mean_term && j < call->n; j++)
            parts += get((void *)call->mean_term, call->dtype, row * call->n + j) +
                     get((void *)call->covariance_term, call->dtype, row * call->n + j);
        if (!(fabsl(got - want) <= 1e-4L * want + 1e-6L) ||
            (call->mean_term && !(fabsl(parts - want) <= 1e-4L * want + 1e-6L))) {
            fprintf(stderr, "row %ld of n = %ld: %g, not %Lg\n", (long)row, (long)call->n, got, want);
            return 1;
        }
    }
    return 0;
}

/* Operands full, shared by all rows, or one number; values (1), gradients (2), both (3), or values and their parts (5);
 * some rows only. */
static int run(int64_t dtype, int64_t parameterization, int64_t rows, int64_t n, int layout, int outputs)
{
    kullback_diagonal_call call;
    memset(&call, 0, sizeof call);
    call.dtype = dtype;
    call.parameterization = parameterization;
    call.first = rows / 3;
    call.last = rows;
    call.n = n;
    for (int k = 0; k < 4; k++) {
        int how = k < 2 ? 0 : layout;
        call.row[k] = how ? 0 : n + (k == 1);
        call.column[k] = how != 2;
        int64_t count = how == 2 ? 1 : how == 1 ? n : (rows - 1) * call.row[k] + n;
        call.data[k] = (int64_t)array(dtype, count);
        call.gradient[k] = (outputs & 2) && k != layout ? (int64_t)array(dtype, rows * n) : 0;
    }
    call.weight = outputs & 2 ? (int64_t)array(dtype, layout ? 1 : rows) : 0;
    call.weight_row = layout ? 0 : 1;
    call.value = outputs & 1 ? (int64_t)array(dtype, rows) : 0;
    call.mean_term = outputs & 4 ? (int64_t)array(dtype, rows * n) : 0;
    call.covariance_term = outputs & 4 ? (int64_t)array(dtype, rows * n) : 0;
    kullback_diagonal(&call);
    int failed = (outputs & 1) && wrong(&call);
    for (int k = 0; k < 4; k++) {
        free((void *)call.data[k]);
        free((void *)call.gradient[k]);
    }
    free((void *)call.weight);
    free((void *)call.value);
    free((void *)call.mean_term);
    free((void *)call.covariance_term);
    return failed;
}

/* Full pairs, diagonally dominant so that there is a factor; the last one of them of a Gaussian and itself. */
static int run_full(int64_t dtype, int64_t parameterization, int64_t rows, int64_t n, int shared, int outputs)
{
    kullback_full_call call;
    memset(&call, 0, sizeof call);
    call.dtype = dtype;
    call.parameterization = parameterization;
    call.first = rows / 3;
    call.last = rows;
    call.n = n;
    for (int k = 0; k < 4; k++) {
        int64_t size = k % 2 ? n * n : n, count = k > 1 && shared ? 1 : rows;
        call.row[k] = k > 1 && shared ? 0 : size;
        call.data[k] = (int64_t)array(dtype, count * size);
        for (int64_t r = 0; k % 2 && r < count; r++)
            for (int64_t i = 0; i < n; i++)
                for (int64_t j = 0; j <= i; j++) {
                    double x = i == j ? (double)n + 1.0 : get((void *)call.data[k], dtype, (r * n + i) * n + j) / 4.0;
                    set((void *)call.data[k], dtype, (r * n + i) * n + j, x);
                    set((void *)call.data[k], dtype, (r * n + j) * n + i, x);
                }
        call.gradient[k] = (outputs & 2) && (k != 2 || !shared) ? (int64_t)array(dtype, rows * size) : 0;
    }
    call.weight = outputs & 2 ? (int64_t)array(dtype, rows) : 0;
    call.weight_row = 1;
    call.value = outputs & 1 ? (int64_t)array(dtype, rows) : 0;
    call.workspace = (int64_t)malloc((size_t)kullback_full_workspace(n) + 1);
    kullback_full(&call);
    int failed = 0;
    for (int64_t row = call.first; call.value && row < rows; row++) {
        double value = get((void *)call.value, dtype, row);
        failed += !(value > 0.0 && value < 1e6);
    }
    free((void *)call.data[2]);
    call.data[2] = call.data[0];
    int64_t q = call.data[3];
    call.data[3] = call.data[1];
    call.row[2] = n;
    call.row[3] = n * n;
    kullback_full(&call);
    for (int64_t row = call.first; call.value && row < rows; row++)
        failed += get((void *)call.value, dtype, row) != 0.0;
    free((void *)q);
    free((void *)call.workspace);
    for (int k = 0; k < 4; k++) {
        free(k < 2 ? (void *)call.data[k] : 0);
        free((void *)call.gradient[k]);
    }
    free((void *)call.weight);
    free((void *)call.value);
    return failed != 0;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The lowest of a matrix in tiles of one width and a rest, compared with sorting all of a row. */
static int run_lowest(int64_t dtype, int64_t rows, int64_t all, int64_t width, int64_t count)
{
    kullback_lowest_call call = { .dtype = dtype, .first = rows / 3, .last = rows, .count = count, .tile_row = all };
    const int64_t matrix = (int64_t)array(dtype, rows * all);
    call.scores = (int64_t)array(dtype, rows * count);
    call.columns = (int64_t)malloc((size_t)(rows * count) * 8);
    double *sorted = malloc((size_t)all * 8);
    if (!call.columns || !sorted)
        exit(2);
    for (; call.start < all; call.start += width) {
        call.tile = matrix + call.start * (dtype == KULLBACK_FLOAT32 ? 4 : 8);
        call.width = all - call.start < width ? all - call.start : width;
        kullback_lowest(&call);
    }
    int failed = 0;
    for (int64_t row = call.first; row < rows; row++) {
        for (int64_t j = 0; j < all; j++)
            sorted[j] = get((void *)matrix, dtype, row * all + j);
        qsort(sorted, (size_t)all, 8, ascending);
        for (int64_t i = 0; i < count; i++) {
            const int64_t column = ((int64_t *)call.columns)[row * count + i];
            const double score = get((void *)call.scores, dtype, row * count + i);
            failed += score != sorted[i] || score != get((void *)matrix, dtype, row * all + column);
        }
    }
    free((void *)matrix);
    free((void *)call.scores);
    free((void *)call.columns);
    free(sorted);
    return failed != 0;
}

/* The lowest products of vectors with others, of which some fill up the last panel, compared with those of each pair. */
static int run_products(int64_t dtype, int64_t rows, int64_t width, int64_t terms, int64_t count)
{
    const int64_t panels = (width + KULLBACK_PANEL - 1) / KULLBACK_PANEL;
    kullback_products_call call = {
        .dtype = dtype, .first = rows / 3, .last = rows, .terms = terms, .width = width, .count = count
    };
    call.left = (int64_t)array(dtype, rows * terms);
    call.panels = (int64_t)array(dtype, panels * KULLBACK_PANEL * terms);
    call.scores = (int64_t)array(dtype, rows * count);
    call.columns = (int64_t)malloc((size_t)(rows * count) * 8);
    call.workspace = (int64_t)malloc(KULLBACK_STRIPS);
    double *all = malloc((size_t)width * 8), *sorted = malloc((size_t)width * 8);
    if (!call.columns || !call.workspace || !all || !sorted)
        exit(2);
    kullback_products(&call);
    int failed = 0;
    const double near = (dtype == KULLBACK_FLOAT32 ? 1e-6 : 1e-15) * (double)terms * 1e3;
    for (int64_t row = call.first; row < rows; row++) {
        for (int64_t j = 0; j < width; j++) {
            all[j] = 0;
            for (int64_t k = 0; k < terms; k++)
                all[j] += get((void *)call.left, dtype, row * terms + k) *
                          get((void *)call.panels, dtype,
                              (j / KULLBACK_PANEL * terms + k) * KULLBACK_PANEL + j % KULLBACK_PANEL);
            sorted[j] = all[j];
        }
        qsort(sorted, (size_t)width, 8, ascending);
        for (int64_t i = 0; i < count; i++) {
            const int64_t column = ((int64_t *)call.columns)[row * count + i];
            const double score = get((void *)call.scores, dtype, row * count + i);
            failed += !(fabs(score - sorted[i]) <= near) || !(fabs(score - all[column]) <= near);
        }
    }
    free((void *)call.left);
    free((void *)call.panels);
    free((void *)call.scores);
    free((void *)call.columns);
    free((void *)call.workspace);
    free(all);
    free(sorted);
    return failed != 0;
}

/* The same operands, of which the second pair is full, shared by all rows, or one number. */
static int run_sums(int64_t dtype, int64_t parameterization, int64_t rows, int64_t n, int layout)
{
    kullback_sums_call call = { .dtype = dtype, .parameterization = parameterization, .rows = rows, .n = n };
    kullback_moments_call of_q = { .dtype = dtype, .parameterization = parameterization, .rows = rows, .n = n };
    for (int k = 0; k < 4; k++) {
        int how = k < 2 ? 0 : layout;
        call.row[k] = how ? 0 : n + (k == 1);
        call.column[k] = how != 2;
        call.data[k] = (int64_t)array(dtype, how == 2 ? 1 : how == 1 ? n : (rows - 1) * call.row[k] + n);
        if (k >= 2) {
            of_q.data[k - 2] = call.data[k];
            of_q.row[k - 2] = call.row[k];
            of_q.column[k - 2] = call.column[k];
        }
    }
    call.value = (int64_t)array(KULLBACK_FLOAT64, rows);
    int64_t *const results[] = { &call.mean_term, &call.covariance_term, &of_q.mean, &of_q.squares, &of_q.variance };
    for (int k = 0; k < 5; k++)
        *results[k] = (int64_t)array(KULLBACK_FLOAT64, n);
    kullback_sums(&call);
    kullback_moments(&of_q);
    int failed = 0;
    long double values = 0, all = 0;
    for (int64_t row = 0; row < rows; row++)
        values += ((double *)call.value)[row];
    for (int64_t j = 0; j < n; j++) {
        long double want[5] = { 0 };
        for (int pass = 0; pass < 2; pass++)
            for (int64_t row = 0; row < rows; row++) {
                double x[4];
                for (int k = 0; k < 4; k++)
                    x[k] = get((void *)call.data[k], dtype, row * call.row[k] + j * call.column[k]);
                long double p = log_variance(x[1], parameterization), q = log_variance(x[3], parameterization);
                long double delta = (long double)x[0] - x[2], deviation = x[2] - want[2];
                if (pass)
                    want[3] += deviation * deviation;
                else {
                    want[0] += 0.5L * delta * delta * expl(-q);
                    want[1] += 0.5L * (expl(p - q) - 1 - (p - q));
                    want[2] += x[2] / (long double)rows;
                    want[4] += expl(q) / (long double)rows;
                }
            }
        all += want[0] + want[1];
        for (int k = 0; k < 5; k++)
            failed += !(fabsl(((double *)*results[k])[j] - want[k]) <= 1e-12L * (fabsl(want[k]) + 1));
    }
    failed += !(fabsl(values - all) <= 1e-12L * (all + 1));
    for (int k = 0; k < 4; k++)
        free((void *)call.data[k]);
    for (int k = 0; k < 5; k++)
        free((void *)*results[k]);
    free((void *)call.value);
    return failed != 0;
}

/* An argument says to run only every so many cases: an emulated processor is slow. */
int main(int count, char **arguments)
{
    const int every = count > 1 ? atoi(arguments[1]) : 1;
    static const int64_t sizes[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 21, 32, 33, 40, 47 };
    static const int64_t lengths[] = { 1, 2, 3, 5, 15, 16, 17, 31, 33, 255, 256, 257, 511, 512, 513, 1500 };
    int failed = 0;
    for (int64_t most = 0; most < 3; most++) {
        int cases = 0;
        const char *before = kullback_instructions();
        kullback_allow(most);
        if (most && !strcmp(before, kullback_instructions()))
            continue; /* this machine has no more */
        for (int64_t dtype = 0; dtype < 2; dtype++)
            for (int64_t parameterization = 0; parameterization < 3; parameterization++)
                for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
                    for (int64_t rows = 1; rows < 100; rows = rows * 7 + 1)
                        for (int layout = 0; layout < 3; layout++)
                            for (int outputs = 1; outputs < 6; outputs += 1 + (outputs == 3))
                                if (cases++ % every == 0)
                                    failed += run(dtype, parameterization, rows, lengths[i], layout, outputs);
        for (int64_t dtype = 0; dtype < 2; dtype++)
            for (int64_t parameterization = 0; parameterization < 3; parameterization++)
                for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
                    for (int64_t rows = 1; rows * lengths[i] < 20000; rows = rows * 7 + 1)
                        for (int layout = 0; layout < 3; layout++)
                            if (cases++ % every == 0)
                                failed += run_sums(dtype, parameterization, rows, lengths[i], layout);
        for (int64_t dtype = 0; dtype < 2; dtype++)
            for (int64_t parameterization = 0; parameterization < 2; parameterization++)
                for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
                    for (int64_t rows = 1; rows < 30; rows += 7)
                        for (int shared = 0; shared < 2; shared++)
                            for (int outputs = 1; outputs < 4; outputs++)
                                if (cases++ % every == 0)
                                    failed += run_full(dtype, parameterization, rows, sizes[i], shared, outputs);
        for (int64_t dtype = 0; dtype < 2; dtype++)
            for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
                for (int64_t width = 1; width < 2000; width = width * 5 + 3)
                    for (int64_t count = 1; count <= lengths[i]; count = count * 3 + 1)
                        if (cases++ % every == 0)
                            failed += run_lowest(dtype, 4, lengths[i], width, count);
        for (int64_t dtype = 0; dtype < 2; dtype++)
            for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++)
                for (int64_t terms = 1; terms < 70; terms = terms * 3 + 2)
                    for (int64_t count = 1; count <= lengths[i]; count = count * 3 + 1)
                        if (cases++ % every == 0)
                            failed += run_products(dtype, 20, lengths[i], terms, count);
        printf("%s: every %d of %d calls, %d wrong so far\n", kullback_instructions(), every, cases, failed);
    }
    return failed != 0;
}
