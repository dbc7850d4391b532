/* The C interface of the kernels: the whole of it.
 *
 * A call takes one block of 64-bit integers, in this order, so that building it costs its caller a single packing.
 * Addresses are 0 where something is not given or not wanted. Strides are in elements. Nothing is allocated, nothing is
 * kept, and calls on different rows may run at the same time.
 */
#ifndef KULLBACK_H
#define KULLBACK_H

#include <stdint.h>

#if defined(__GNUC__)
#define KULLBACK_EXPORT __attribute__((visibility("default")))
#else
#define KULLBACK_EXPORT
#endif

enum { KULLBACK_FLOAT32 = 0, KULLBACK_FLOAT64 = 1 };
enum { KULLBACK_STD = 0, KULLBACK_VARIANCE = 1, KULLBACK_LOGVAR = 2 };

/* Means and scales in the order mean of p, scale of p, mean of q, scale of q. */
typedef struct {
    int64_t dtype, parameterization;
    int64_t first, last, n;        /* rows to compute, first <= row < last, and coordinates in each */
    int64_t data[4];               /* the operands */
    int64_t row[4];                /* from one row to the next: 0 if all rows share it */
    int64_t column[4];             /* from one coordinate to the next: 1, or 0 if all coordinates share it */
    int64_t value;                 /* out: the divergence of each row, packed */
    int64_t weight, weight_row;    /* what each row's divergence is multiplied by before gradients are taken */
    int64_t gradient[4];           /* out: with respect to each operand, packed (rows, n) */
    int64_t mean_term;             /* out, together or not at all, and without weights: what the means and what the */
    int64_t covariance_term;       /* scales contribute in each coordinate, packed (rows, n) */
} kullback_diagonal_call;

KULLBACK_EXPORT void kullback_diagonal(const kullback_diagonal_call *call);

/* What adds up over rows of diagonal Gaussians. Results are double, whatever the operands are. */
typedef struct {
    int64_t dtype, parameterization;
    int64_t rows, n;
    int64_t data[4], row[4], column[4];
    int64_t value;                 /* out: the divergence of each row */
    int64_t mean_term;             /* out: for each coordinate the sum over rows of what the means contribute, */
    int64_t covariance_term;       /* and of what the scales contribute */
} kullback_sums_call;

KULLBACK_EXPORT void kullback_sums(const kullback_sums_call *call);

/* The same of one Gaussian for each of one row or more: its mean and its scale. */
typedef struct {
    int64_t dtype, parameterization;
    int64_t rows, n;
    int64_t data[2], row[2], column[2];
    int64_t mean, squares;         /* out: for each coordinate the mean of means, the sum of squared deviations from it, */
    int64_t variance;              /* and the mean of variances */
} kullback_moments_call;

KULLBACK_EXPORT void kullback_moments(const kullback_moments_call *call);

enum { KULLBACK_COVARIANCE = 0, KULLBACK_SCALE_TRIL = 1 };
enum { KULLBACK_SIDE_BY_SIDE = 32 }; /* up to so many coordinates, pairs are computed several at a time */

/* The same for full Gaussians: means (rows, n), scales (rows, n, n), each matrix and vector packed. */
typedef struct {
    int64_t dtype, parameterization;
    int64_t first, last, n;
    int64_t data[4];
    int64_t row[4];                /* from one row to the next: 0 if all rows share it */
    int64_t value;
    int64_t weight, weight_row;
    int64_t gradient[4];           /* out: packed; of a covariance symmetric, of a factor lower triangular */
    int64_t workspace;             /* memory of the size below, for this call alone */
} kullback_full_call;

/* Bytes of workspace that a call needs. The stack holds a few kilobytes, whatever n is. */
KULLBACK_EXPORT int64_t kullback_full_workspace(int64_t n);

KULLBACK_EXPORT void kullback_full(const kullback_full_call *call);

/* The lowest numbers of each row of a matrix that comes in tiles of columns, from left to right. */
typedef struct {
    int64_t dtype;
    int64_t first, last;           /* rows to look at */
    int64_t start, width, count;   /* columns before this tile, those in it, and how many of the lowest are wanted */
    int64_t tile, tile_row;        /* the tile, and from one row of it to the next */
    int64_t scores, columns;       /* in and out: (rows, count), packed, ascending; the first min(start, count) are set */
} kullback_lowest_call;

/* A NaN counts as lower than everything. */
KULLBACK_EXPORT void kullback_lowest(const kullback_lowest_call *call);

enum { KULLBACK_PANEL = 32, KULLBACK_STRIPS = 64 * 1024 };

/* The lowest inner products of each vector with many others. These come in panels of KULLBACK_PANEL vectors, the last
 * of which is filled up with anything: the first numbers of all vectors of a panel, then the second ones, and so on. */
typedef struct {
    int64_t dtype;
    int64_t first, last;           /* vectors to multiply */
    int64_t terms, width, count;   /* numbers in each vector, the others, and how many of the lowest are wanted */
    int64_t left, panels;          /* the vectors, (rows, terms), packed; the others */
    int64_t scores, columns;       /* out: (rows, count), packed, ascending; count <= width */
    int64_t workspace;             /* KULLBACK_STRIPS bytes for this call alone */
} kullback_products_call;

/* A NaN counts as lower than everything. */
KULLBACK_EXPORT void kullback_products(const kullback_products_call *call);

/* Counts the layouts of the blocks above: another number, another layout. */
KULLBACK_EXPORT int64_t kullback_interface(void);

/* The instruction set in use, "avx512", "avx2" or "baseline": the best that this machine has, or that is allowed. */
KULLBACK_EXPORT const char *kullback_instructions(void);

/* Allows no more than baseline (0), avx2 (1) or everything (2), for tests of what other machines would run. */
KULLBACK_EXPORT void kullback_allow(int64_t most);

#endif
