"""May the values or the memory of a tensor be read, here and now? The only module that asks torch's internals.

Under compilation, tracing, a function transform or a dispatch mode a tensor may have no values yet, and its memory may
be somebody else's: code that reads it would be silently wrong.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import Parameter

_functorch_interpreter = torch._C._functorch.peek_interpreter_stack
_is_functorch_tensor = torch._C._functorch.is_functorch_wrapped_tensor
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_jit_tracing = torch._C._get_tracing_state
_RAW_DTYPES = (torch.float32, torch.float64)

OTHER_DTYPES = "dtypes other than float32 or float64 throughout"
"""Why kernels do not read tensors that :func:`~kullback.numerics.tensors.compute_dtype` casts to what they read."""


def is_concrete(x: Tensor) -> bool:
    """True for an ordinary tensor with values, outside compilation, tracing and function transforms."""
    return (
        not is_compiling()
        and not _jit_tracing()
        and type(x) in (Tensor, Parameter)
        and not _is_functorch_tensor(x)
        and _dispatch_modes() == 0
        and x.device.type != "meta"
    )


def may_read_values(x: Tensor) -> bool:
    """True where a program may branch on the values of a tensor: not while a CUDA graph is recorded, either."""
    return is_concrete(x) and not (x.is_cuda and torch.cuda.is_current_stream_capturing())


def why_not_raw_memory(tensors: Sequence[Tensor]) -> str | None:
    """Why a kernel may not read the memory of these tensors; None if it may."""
    return active_transform() or unreadable_tensor(tensors)


def in_function_transform() -> bool:
    """True inside a transform of ``torch.func``, where no tensor becomes an array and torch draws no Sobol sequence."""
    return _functorch_interpreter() is not None


def active_transform() -> str | None:
    """The transform or mode that is active around the call; None if there is none."""
    if is_compiling():
        return "torch.compile is tracing"
    if _functorch_interpreter() is not None:
        return "inside a torch.func transform"
    if forward_ad._current_level >= 0:
        return "inside a level of forward-mode differentiation"
    if _dispatch_modes() or _function_modes():
        return "a dispatch or function mode is on"
    if _jit_tracing() is not None:
        return "torch.jit.trace is tracing"
    return None


def unreadable_tensor(tensors: Sequence[Tensor]) -> str | None:
    """What about the tensors keeps a kernel from reading their memory; None if nothing does."""
    dtype, on_cpu, device = tensors[0].dtype, tensors[0].is_cpu, tensors[0].device
    for x in tensors:
        kind = type(x)
        if kind is not Tensor and kind is not Parameter:
            return f"a tensor of type {kind.__name__}"
        if x.dtype is not dtype or dtype not in _RAW_DTYPES:
            return OTHER_DTYPES
        if x.is_cpu != on_cpu or not (on_cpu or x.device == device):
            return f"tensors on {device} and {x.device}"
        if x.layout is not torch.strided or x.is_neg() or not _address(x):
            if x.is_meta:
                return "a tensor on meta"
            return "a tensor without plain memory (sparse, negated, batched or empty)"
    return None


def _address(x: Tensor) -> int:
    try:
        return x.data_ptr()
    except RuntimeError:  # a batch of vectors in a backward pass has no storage of its own
        return 0
