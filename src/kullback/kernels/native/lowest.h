/* The lowest numbers of each row of a matrix that comes in tiles of columns. Included once for each REAL. */

/* Numbers that are compared with the threshold at once, and where one of them is below it, so many of them again; and
 * the most that are wanted for a threshold to be found first. */
enum { NAME(ABREAST) = 64, NAME(FEW) = 512 / REAL_BITS, NAME(MOST) = 32 };

/* A number that at least ``count`` of a row are not above: the count-th lowest of the least of every ABREAST-th one. */
INLINE REAL NAME(limit)(const REAL *x, int64_t width, int64_t count)
{
    REAL least[NAME(ABREAST)], lowest[NAME(MOST)];
    if (count > NAME(MOST) || width < NAME(ABREAST))
        return (REAL)INFINITY;
    for (int l = 0; l < NAME(ABREAST); l++)
        least[l] = (REAL)INFINITY;
    for (int64_t j = 0; j + NAME(ABREAST) <= width; j += NAME(ABREAST))
        for (int l = 0; l < NAME(ABREAST); l++)
            least[l] = x[j + l] < least[l] ? x[j + l] : least[l];
    for (int l = 0; l < NAME(ABREAST); l++) {
        int64_t i = l < count ? l : count - 1;
        if (l >= count && !(least[l] < lowest[i]))
            continue;
        for (; i > 0 && lowest[i - 1] > least[l]; i--)
            lowest[i] = lowest[i - 1];
        lowest[i] = least[l];
    }
    return lowest[count - 1];
}

/* Whether one of so many numbers is below the threshold, or equal to it where that counts. NaN is below everything. */
INLINE int NAME(any_below)(const REAL *x, int count, REAL threshold, int or_equal)
{
    UNSIGNED found = 0;
    for (int l = 0; l < count; l++)
        found |= (UNSIGNED)(or_equal ? !(x[l] > threshold) : !(x[l] >= threshold));
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
        const REAL limit = call->start ? (REAL)INFINITY : NAME(limit)(x, width, count);
        while (j < width && filled < count) {
            const int whole = j + NAME(ABREAST) <= width, step = whole ? NAME(ABREAST) : 1;
            if (!whole || NAME(any_below)(x + j, NAME(ABREAST), limit, 1))
                for (int64_t l = j; l < j + step; l++)
                    if (filled < count ? !(x[l] > limit) : !(x[l] >= scores[count - 1]))
                        filled = NAME(insert)(scores, columns, filled, count, x[l], call->start + l);
            j += step;
        }
        for (; j + NAME(ABREAST) <= width; j += NAME(ABREAST)) {
            if (!NAME(any_below)(x + j, NAME(ABREAST), scores[count - 1], 0))
                continue;
            for (int64_t k = j; k < j + NAME(ABREAST); k += NAME(FEW)) {
                if (!NAME(any_below)(x + k, NAME(FEW), scores[count - 1], 0))
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
