"""May plain memory be read, here and now? A kernel that reads it under a transform would be silently wrong."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import Parameter

_transforms = torch._C._functorch.peek_interpreter_stack
_modes = torch._C._len_torch_dispatch_stack
_functions = torch._C._len_torch_function_stack
_tracing = torch._C._get_tracing_state
_DTYPES = (torch.float32, torch.float64)


def objection(tensors: Sequence[Tensor]) -> str | None:
    """Why a kernel may not read these tensors; None if it may."""
    return surroundings() or content(tensors)


def surroundings() -> str | None:
    """What goes on around the call that forbids it."""
    if is_compiling():
        return "torch.compile is tracing"
    if _transforms() is not None:
        return "inside a torch.func transform"
    if forward_ad._current_level >= 0:
        return "inside a level of forward-mode differentiation"
    if _modes() or _functions():
        return "a dispatch or function mode is on"
    if _tracing() is not None:
        return "torch.jit.trace is tracing"
    return None


def content(tensors: Sequence[Tensor]) -> str | None:
    """What about the tensors forbids it."""
    dtype = tensors[0].dtype
    for x in tensors:
        kind = type(x)
        if kind is not Tensor and kind is not Parameter:
            return f"a tensor of type {kind.__name__}"
        if x.dtype is not dtype or dtype not in _DTYPES:
            return "dtypes other than float32 or float64 throughout"
        if not x.is_cpu:
            return f"a tensor on {x.device}"
        if x.layout is not torch.strided or x.is_neg() or not _address(x):
            return "a tensor without plain memory (sparse, negated, batched or empty)"
    return None


def _address(x: Tensor) -> int:
    try:
        return x.data_ptr()
    except RuntimeError:  # a batch of vectors in a backward pass has no storage of its own
        return 0
