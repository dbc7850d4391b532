"""Arrays, lists and numbers in; tensors inside; NumPy out where all that came in was NumPy."""

import enum
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.numerics.classes import class_names
from kullback.numerics.foreign_arrays import hint, is_array, read_array
from kullback.numerics.guard import is_concrete

FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class ArrayKind(enum.Enum):
    """What the caller works with, and gets results as."""

    TORCH = "tensors"
    NUMPY = "NumPy arrays or lists"
    ANY = "Python numbers, which take the kind of what they meet"


def common_array_kind(kinds: Iterable[ArrayKind]) -> ArrayKind:
    """NumPy if nothing but NumPy was given, tensors if a tensor was among it; numbers have no say."""
    definite = [kind for kind in kinds if kind is not ArrayKind.ANY]
    if not definite:
        return ArrayKind.ANY
    return ArrayKind.TORCH if ArrayKind.TORCH in definite else ArrayKind.NUMPY


def to_tensor(x: Any, name: str, *, integers: torch.dtype | None = None) -> tuple[Tensor | float, ArrayKind]:
    """``x`` as a floating tensor, or as a float if it is a Python number; and what it was.

    Integers become what they are divided into: a tensor of them torch's default dtype, an array or a list of them
    float64; or the dtype ``integers``. Nothing is copied that need not be.

    Raises:
        TypeError: for what holds no real numbers, or a list of tensors.
        ValueError: for a ragged list, or a table with missing values.
    """
    if isinstance(x, Tensor):
        if x.is_nested or x.layout is not torch.strided:
            kind = "nested" if x.is_nested else "sparse"
            instead = "torch.nested.to_padded_tensor, and a mask" if x.is_nested else f"{name}.to_dense()"
            raise TypeError(f"{name} is a {kind} tensor; Gaussians have dense ones. Use {instead}.")
        if type(x) is not Tensor and class_names(x, "torch.masked"):
            hidden = x.numel() - int(x.get_mask().sum())  # type: ignore[attr-defined]
            raise TypeError(
                f"{name} is a masked tensor, {hidden} of whose {x.numel()} values are masked. Leave those rows out, or "
                f"say what they are: {name}.to_tensor(...)."
            )
        return _floating(x, name, integers), ArrayKind.TORCH
    if isinstance(x, (int, float)) and not isinstance(x, (bool, np.generic)):
        return float(x), ArrayKind.ANY
    if isinstance(x, (list, tuple)) and any(isinstance(row, Tensor) for row in x):
        raise TypeError(f"{name} is a list of tensors. Stack them first: torch.stack({name}).")
    return _floating(_array_tensor(x, name), name, integers or torch.float64), ArrayKind.NUMPY


def _array_tensor(x: Any, name: str) -> Tensor:
    if not (isinstance(x, (list, tuple)) or is_array(x)):
        raise TypeError(
            f"{name} must be a tensor, an array, a list or a number, got {type(x).__name__}.{hint(x, name)}"
        )
    for where, masked in _masked_arrays(x, name):
        hidden = int(np.count_nonzero(np.ma.getmaskarray(masked)))
        if hidden:
            raise TypeError(
                f"{where} is a masked array, {hidden} of whose {masked.size} values are masked. Leave those rows out, "
                f"or say what they are: {where}.filled(...)."
            )
    array = read_array(x, name)
    if isinstance(array, Tensor):
        return array
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got an array of dtype {array.dtype}.")
    if array.dtype.itemsize > 8:
        raise TypeError(f"{name} has dtype {array.dtype}; torch has no such type. Convert it to float64.")
    return from_numpy(array)


def _masked_arrays(x: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The masked arrays among what was given, also in lists, of which NumPy reads what is under the mask."""
    if isinstance(x, np.ma.MaskedArray):
        yield name, x
    elif isinstance(x, (list, tuple)):
        for i, each in enumerate(x):
            if isinstance(each, (np.ma.MaskedArray, list, tuple)):
                yield from _masked_arrays(each, f"{name}[{i}]")


def from_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """An array as a tensor; copied only if torch cannot hold it as it lies (byte order, strides, read-only)."""
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not native.flags.writeable or any(stride < 0 for stride in native.strides):
        native = native.copy()
    return torch.from_numpy(native)


def _floating(x: Tensor, name: str, integers: torch.dtype | None) -> Tensor:
    if x.dtype in FLOATING:
        return x
    if x.dtype.is_complex or x.dtype.is_floating_point or x.dtype == torch.bool:
        raise TypeError(f"{name} must be float16, bfloat16, float32, float64 or integers, got {x.dtype}.")
    return x.to(integers or torch.get_default_dtype())


def from_callers_type(x: Any) -> Tensor:
    """A result of :func:`to_callers_type`, or another array, as a tensor where it lies.

    Torch's default device does not matter.
    """
    if isinstance(x, Tensor):
        return x
    array = x if isinstance(x, np.ndarray) else read_array(x, "a result")
    return array if isinstance(array, Tensor) else from_numpy(array)


def to_callers_type(x: Tensor, kind: ArrayKind) -> Any:
    """``x`` as a NumPy array if that is what the caller works with, and if there is one.

    There is none under a transform, for what requires gradients, of bfloat16, and on another device: what came from
    there by DLPack stays there, and can go back so.
    """
    if kind is not ArrayKind.NUMPY or x.dtype is torch.bfloat16:
        return x
    return x.numpy() if is_concrete(x) and x.device.type == "cpu" and not x.requires_grad else x
