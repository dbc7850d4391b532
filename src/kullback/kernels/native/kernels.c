/* The kernels of one instruction set, KULLBACK_ISA: compiled once for each, with the flags that go with it. */
#include "kullback.h"
#include <math.h>
#include <string.h>
#ifdef KULLBACK_X86
#include <immintrin.h>
#endif

#define REAL_BITS 32
#define SUFFIX f32
#include "elementary.h"
#include "diagonal.h"
#include "lowest.h"
#include "products.h"
#include "forget.h"

#define REAL_BITS 64
#define SUFFIX f64
#include "elementary.h"
#include "diagonal.h"
#include "sums.h"
#include "lanes.h"
#include "full.h"
#include "blocked.h"
#include "lowest.h"
#include "products.h"
#include "forget.h"

#define ENTRY_(what, isa) kullback_##what##_##isa
#define ENTRY(what, isa) ENTRY_(what, isa)

void ENTRY(diagonal, KULLBACK_ISA)(const kullback_diagonal_call *call);
void ENTRY(sums, KULLBACK_ISA)(const kullback_sums_call *call);
void ENTRY(moments, KULLBACK_ISA)(const kullback_moments_call *call);
void ENTRY(full, KULLBACK_ISA)(const kullback_full_call *call);
void ENTRY(lowest, KULLBACK_ISA)(const kullback_lowest_call *call);
void ENTRY(products, KULLBACK_ISA)(const kullback_products_call *call);
int64_t ENTRY(workspace, KULLBACK_ISA)(int64_t n);

int64_t ENTRY(workspace, KULLBACK_ISA)(int64_t n)
{
    return full_workspace(n);
}

void ENTRY(full, KULLBACK_ISA)(const kullback_full_call *call)
{
    if (call->n <= KULLBACK_SIDE_BY_SIDE)
        side_by_side(call);
    else
        one_by_one(call);
}

void ENTRY(diagonal, KULLBACK_ISA)(const kullback_diagonal_call *call)
{
    if (call->dtype == KULLBACK_FLOAT32)
        diagonal_f32(call);
    else
        diagonal_f64(call);
}

void ENTRY(sums, KULLBACK_ISA)(const kullback_sums_call *call)
{
    sums(call);
}

void ENTRY(moments, KULLBACK_ISA)(const kullback_moments_call *call)
{
    moments(call);
}

void ENTRY(lowest, KULLBACK_ISA)(const kullback_lowest_call *call)
{
    if (call->dtype == KULLBACK_FLOAT32)
        lowest_f32(call);
    else
        lowest_f64(call);
}

void ENTRY(products, KULLBACK_ISA)(const kullback_products_call *call)
{
    if (call->dtype == KULLBACK_FLOAT32)
        products_f32(call);
    else
        products_f64(call);
}
