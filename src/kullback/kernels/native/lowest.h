/* The lowest numbers of each row of a matrix that comes in tiles of columns. Included once for each REAL. */

/* Numbers that are compared with the threshold at once, and where one of them is below it, so many of them again. */
enum { NAME(ABREAST) = 64, NAME(FEW) = 8 };

/* Whether one of so many numbers is not at or above the threshold. */
INLINE int NAME(any_below)(const REAL *x, int count, REAL threshold)
{
    UNSIGNED found = 0;
    for (int l = 0; l < count; l++)
        found |= (UNSIGNED) !(x[l] >= threshold);
    return found != 0;
}

/* Adds one number to the ``filled`` ascending ones, of which the last may have to go; returns how many there are. */
INLINE int64_t NAME(insert)(REAL *scores, int64_t *columns, int64_t filled, int64_t count, REAL x, int64_t column)
{
    int64_t i = filled < count ? filled : count - 1;
    x = x == x ? x : -(REAL)INFINITY; /* NaN comes first */
    for (; i > 0 && scores[i - 1] > x; i--) {
        scores[i] = scores[i - 1];
        columns[i] = columns[i - 1];
    }
    scores[i] = x;
    columns[i] = column;
    return filled < count ? filled + 1 : count;
}

static void NAME(lowest)(const kullback_lowest_call *call)
{
    const int64_t count = call->count, width = call->width;
    for (int64_t row = call->first; row < call->last; row++) {
        const REAL *x = (const REAL *)call->tile + row * call->tile_row;
        REAL *scores = (REAL *)call->scores + row * count;
        int64_t *columns = (int64_t *)call->columns + row * count;
        int64_t filled = call->start < count ? call->start : count, j = 0;
        for (; j < width && filled < count; j++)
            filled = NAME(insert)(scores, columns, filled, count, x[j], call->start + j);
        for (; j + NAME(ABREAST) <= width; j += NAME(ABREAST)) {
            if (!NAME(any_below)(x + j, NAME(ABREAST), scores[count - 1]))
                continue;
            for (int64_t k = j; k < j + NAME(ABREAST); k += NAME(FEW)) {
                if (!NAME(any_below)(x + k, NAME(FEW), scores[count - 1]))
                    continue;
                for (int64_t l = k; l < k + NAME(FEW); l++)
                    if (!(x[l] >= scores[count - 1]))
                        NAME(insert)(scores, columns, count, count, x[l], call->start + l);
            }
        }
        for (; j < width; j++)
            if (!(x[j] >= scores[count - 1]))
                NAME(insert)(scores, columns, count, count, x[j], call->start + j);
    }
}
