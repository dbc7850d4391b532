/* Which of the compiled instruction sets this machine has. */
#include "kullback.h"

#define DECLARE(isa) \
    void kullback_diagonal_##isa(const kullback_diagonal_call *call); \
    void kullback_sums_##isa(const kullback_sums_call *call); \
    void kullback_moments_##isa(const kullback_moments_call *call); \
    void kullback_full_##isa(const kullback_full_call *call); \
    void kullback_lowest_##isa(const kullback_lowest_call *call); \
    void kullback_products_##isa(const kullback_products_call *call); \
    int64_t kullback_workspace_##isa(int64_t n);

#ifdef KULLBACK_X86
DECLARE(avx512)
DECLARE(avx2)
#endif
DECLARE(baseline)

static int64_t allowed = 2;

static int level(void)
{
#ifdef KULLBACK_X86
    __builtin_cpu_init();
    if (allowed > 1 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        return 2;
    if (allowed > 0 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        return 1;
#endif
    return 0;
}

void kullback_allow(int64_t most)
{
    allowed = most;
}

int64_t kullback_interface(void)
{
    return 8;
}

int64_t kullback_full_workspace(int64_t n)
{
    int64_t most = kullback_workspace_baseline(n);
#ifdef KULLBACK_X86
    /* Another thread may allow another instruction set before the call. */
    const int64_t others[] = { kullback_workspace_avx2(n), kullback_workspace_avx512(n) };
    for (int k = 0; k < 2; k++)
        most = others[k] > most ? others[k] : most;
#endif
    return most;
}

const char *kullback_instructions(void)
{
    static const char *const names[] = { "baseline", "avx2", "avx512" };
    return names[level()];
}

#ifdef KULLBACK_X86
#define FASTER(what) \
    case 2: \
        kullback_##what##_avx512(call); \
        return; \
    case 1: \
        kullback_##what##_avx2(call); \
        return;
#else
#define FASTER(what)
#endif

#define ENTRY(what) \
    void kullback_##what(const kullback_##what##_call *call) \
    { \
        switch (level()) { \
            FASTER(what) \
        default: \
            kullback_##what##_baseline(call); \
        } \
    }

ENTRY(diagonal)
ENTRY(sums)
ENTRY(moments)
ENTRY(full)
ENTRY(lowest)
ENTRY(products)
