/* The lowest numbers of each row of a matrix that comes in tiles of columns. Included once for each REAL. */

/* Numbers that are compared with the threshold at once, and the most that are wanted for it to be found first. */
enum { NAME(ABREAST) = 64, NAME(MOST) = 32 };

/* A number that at least ``count`` of a row are not above: the count-th lowest of the least of every ABREAST-th one. */
INLINE REAL NAME(limit)(const REAL *x, int64_t width, int64_t count)
{
    REAL least[NAME(ABREAST)], limit = (REAL)INFINITY;
    UNSIGNED below[NAME(ABREAST)];
    if (count > NAME(MOST) || width < NAME(ABREAST))
        return limit;
    for (int l = 0; l < NAME(ABREAST); l++)
        least[l] = (REAL)INFINITY;
    for (int64_t j = 0; j + NAME(ABREAST) <= width; j += NAME(ABREAST))
        for (int l = 0; l < NAME(ABREAST); l++)
            least[l] = x[j + l] < least[l] ? x[j + l] : least[l];
    for (int l = 0; l < NAME(ABREAST); l++)
        below[l] = 0;
    for (int i = 0; i < NAME(ABREAST); i++)
        for (int l = 0; l < NAME(ABREAST); l++)
            below[l] += (UNSIGNED)(least[i] <= least[l]);
    for (int l = 0; l < NAME(ABREAST); l++)
        limit = below[l] >= (UNSIGNED)count && least[l] < limit ? least[l] : limit;
    return limit;
}

/* Which of so many numbers, 64 at most, are below the threshold: a bit for each. NaN is below everything. */
INLINE uint64_t NAME(below)(const REAL *x, const int count, REAL threshold)
{
    uint64_t found = 0;
#if defined(__AVX512F__) && REAL_BITS == 32
    for (int l = 0; l < count; l += 16)
        found |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(x + l), _mm512_set1_ps(threshold), _CMP_NGE_UQ) << l;
#elif defined(__AVX512F__)
    for (int l = 0; l < count; l += 8)
        found |= (uint64_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(x + l), _mm512_set1_pd(threshold), _CMP_NGE_UQ) << l;
#elif defined(__AVX2__) && REAL_BITS == 32
    for (int l = 0; l < count; l += 8) {
        const __m256 is_below = _mm256_cmp_ps(_mm256_loadu_ps(x + l), _mm256_set1_ps(threshold), _CMP_NGE_UQ);
        found |= (uint64_t)(unsigned)_mm256_movemask_ps(is_below) << l;
    }
#elif defined(__AVX2__)
    for (int l = 0; l < count; l += 4) {
        const __m256d is_below = _mm256_cmp_pd(_mm256_loadu_pd(x + l), _mm256_set1_pd(threshold), _CMP_NGE_UQ);
        found |= (uint64_t)(unsigned)_mm256_movemask_pd(is_below) << l;
    }
#else
    UNSIGNED any = 0;
    for (int l = 0; l < count; l++)
        any |= (UNSIGNED)!(x[l] >= threshold);
    for (int l = 0; any && l < count; l++)
        found |= (uint64_t)!(x[l] >= threshold) << l;
#endif
    return found;
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

/* Goes through numbers of a row from the j-th on when all scores are filled; or, from the first on, when none is, and so
 * many numbers as are wanted are below the threshold. As many scores are moved each time, whatever the place of the new
 * one, which could not be predicted: ``room``, a constant that is at least ``count``.
 */
INLINE void NAME(replace)(const REAL *x, int64_t j, int64_t width, int64_t start, int64_t count, const int room,
                          REAL threshold, REAL *scores, int64_t *columns)
{
    REAL lowest[2 * NAME(MOST) + 1], moved[NAME(MOST)];
    int64_t where[2 * NAME(MOST) + 1], from[NAME(MOST)];
    const int is_filled = start || j;
    int is_changed = 0;
    for (; j < width; j += NAME(ABREAST)) {
        uint64_t found = 0;
        if (j + NAME(ABREAST) <= width)
            found = NAME(below)(x + j, NAME(ABREAST), threshold);
        else
            for (int l = 0; l < width - j; l++)
                found |= (uint64_t)!(x[j + l] >= threshold) << l;
        if (found && !is_changed) {
            is_changed = 1;
            for (int i = 0; i < room; i++)
                lowest[i] = (REAL)INFINITY;
            for (int i = 0; is_filled && i < count; i++) {
                lowest[i] = scores[i];
                where[i] = columns[i];
            }
        }
        for (; found; found &= found - 1) {
            const int64_t l = j + __builtin_ctzll(found);
            const REAL y = x[l] == x[l] ? x[l] : -(REAL)INFINITY;
            const int place = __builtin_popcountll(NAME(below)(lowest, room, y));
            memcpy(moved, lowest + place, (size_t)room * sizeof *moved);
            memcpy(from, where + place, (size_t)room * sizeof *from);
            memcpy(lowest + place + 1, moved, (size_t)room * sizeof *moved);
            memcpy(where + place + 1, from, (size_t)room * sizeof *from);
            lowest[place] = y;
            where[place] = start + l;
            threshold = lowest[count - 1] < threshold ? lowest[count - 1] : threshold;
        }
    }
    for (int i = 0; is_changed && i < count; i++) {
        scores[i] = lowest[i];
        columns[i] = where[i];
    }
}

/* The same with the room that is needed. */
INLINE void NAME(replace_few)(const REAL *x, int64_t j, int64_t width, int64_t start, int64_t count, REAL threshold,
                              REAL *scores, int64_t *columns)
{
    if (count <= NAME(MOST) / 2)
        NAME(replace)(x, j, width, start, count, NAME(MOST) / 2, threshold, scores, columns);
    else
        NAME(replace)(x, j, width, start, count, NAME(MOST), threshold, scores, columns);
}

/* Goes through ``width`` numbers of a row, of which ``start`` were gone through before. */
INLINE void NAME(look_through)(const REAL *x, int64_t start, int64_t width, int64_t count, REAL *scores, int64_t *columns)
{
    int64_t filled = start < count ? start : count, j = 0;
    if (!start) {
        const REAL limit = NAME(limit)(x, width, count);
        if (limit < (REAL)INFINITY) { /* anything above it is a threshold */
            const REAL above = limit + (limit < 0 ? -limit : limit) * C(1e-6) + TINY;
            NAME(replace_few)(x, 0, width, 0, count, above, scores, columns);
            return;
        }
    }
    for (; j < width && filled < count; j++)
        filled = NAME(insert)(scores, columns, filled, count, x[j], start + j);
    if (count <= NAME(MOST))
        NAME(replace_few)(x, j, width, start, count, scores[count - 1], scores, columns);
    else
        for (; j < width; j++)
            if (!(x[j] >= scores[count - 1]))
                NAME(insert)(scores, columns, count, count, x[j], start + j);
}

static void NAME(lowest)(const kullback_lowest_call *call)
{
    const int64_t count = call->count;
    for (int64_t row = call->first; row < call->last; row++)
        NAME(look_through)
    ((const REAL *)call->tile + row * call->tile_row, call->start, call->width, count,
     (REAL *)call->scores + row * count, (int64_t *)call->columns + row * count);
}
