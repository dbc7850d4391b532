"""Arrays, lists and numbers in; tensors inside; NumPy out where all that came in was NumPy."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.concrete import has_visible_values

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def to_tensor(x: Any, name: str) -> tuple[Tensor | float, bool | None]:
    """``x`` as a floating tensor, or as a float if it is a Python number, and whether it was NumPy.

    The second result is None for a Python number, which takes its kind from what it meets. Integers become the
    default dtype. Nothing is copied that need not be.
    """
    if isinstance(x, Tensor):
        return _floating(x, name), False
    if isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic)):
        return float(x), None
    if isinstance(x, (list, tuple)) and any(isinstance(row, Tensor) for row in x):
        raise TypeError(f"{name} is a list of tensors. Stack them first: torch.stack({name}).")
    return _floating(_array_tensor(x, name), name), True


def _array_tensor(x: Any, name: str) -> Tensor:
    if not (isinstance(x, (list, tuple, np.ndarray, np.generic)) or hasattr(x, "__array__")):
        raise TypeError(f"{name} must be a tensor, an array, a list or a number, got {type(x).__name__}.")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise ValueError(f"{name} is no rectangular array: {error}") from None
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}.")
    if array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; torch has no such type. Convert it to float64.")
    return from_numpy(array)


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """An array as a tensor; copied only if torch cannot hold it as it lies (byte order, strides, read-only)."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not native.flags.writeable or any(stride < 0 for stride in native.strides):
        native = native.copy()
    return torch.from_numpy(native)


def _floating(x: Tensor, name: str) -> Tensor:
    if x.dtype in FLOATING:
        return x
    if x.dtype.is_complex or x.dtype.is_floating_point or x.dtype == torch.bool:
        raise TypeError(f"{name} must be float16, bfloat16, float32, float64 or integers, got {x.dtype}.")
    return x.to(torch.get_default_dtype())


def as_given(x: Tensor, *, numpy: bool) -> Any:
    """``x`` as a NumPy array if that is what the user works with, and if there is one: not under a transform."""
    possible = numpy and has_visible_values(x) and x.device.type == "cpu" and not x.requires_grad
    return x.numpy() if possible else x
