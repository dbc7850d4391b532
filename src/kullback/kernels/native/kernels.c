/* The kernels of one instruction set, KULLBACK_ISA: compiled once for each, with the flags that go with it. */
#include "kullback.h"
#include <math.h>
#include <string.h>

#define REAL_BITS 32
#define SUFFIX f32
#include "elementary.h"
#include "diagonal.h"
#include "forget.h"

#define REAL_BITS 64
#define SUFFIX f64
#include "elementary.h"
#include "diagonal.h"
#include "full.h"
#include "forget.h"

#define ENTRY_(what, isa) kullback_##what##_##isa
#define ENTRY(what, isa) ENTRY_(what, isa)

void ENTRY(diagonal, KULLBACK_ISA)(const kullback_diagonal_call *call);
void ENTRY(full, KULLBACK_ISA)(const kullback_full_call *call);

void ENTRY(full, KULLBACK_ISA)(const kullback_full_call *call)
{
    full(call);
}

void ENTRY(diagonal, KULLBACK_ISA)(const kullback_diagonal_call *call)
{
    if (call->dtype == KULLBACK_FLOAT32)
        diagonal_f32(call);
    else
        diagonal_f64(call);
}
