"""How the tensors of a pair lie in memory: rows, one step from each to the next."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.numerics.memory import empty, empty_like
from kullback.numerics.tensors import broadcast_shapes

# Parameterizations whose scale is a matrix.
MATRICES = ("covariance", "scale_tril")


class Layout(NamedTuple):
    """The rows of four tensors: mean of p, scale of p, mean of q, scale of q."""

    parameterization: str
    batch: Sequence[int]
    shapes: tuple[Sequence[int], ...]  # of each tensor, with the whole batch
    n_rows: int
    n: int  # coordinates of a row
    row_stride: tuple[int, ...]  # elements from one row to the next; 0 if all rows share the tensor
    column_stride: tuple[int, ...]  # 1, or 0 if all coordinates share it
    is_plain: bool  # is each tensor as it was given, and of full shape?


def laid_out(tensors: Sequence[Tensor], parameterization: str, event_dims: int) -> tuple[Sequence[Tensor], Layout]:
    """The tensors as a kernel takes them (copied only where there is no one step between rows), and their layout."""
    a, b, c, d = tensors
    shapes, strides = (a.shape, b.shape, c.shape, d.shape), (a.stride(), b.stride(), c.stride(), d.stride())
    layout, copied = _layout(shapes, strides, parameterization, event_dims)
    if copied:
        whole = zip(tensors, layout.shapes, copied, strict=True)
        tensors = [x.expand(shape).contiguous() if copy else x for x, shape, copy in whole]
    return tensors, layout


@functools.lru_cache(maxsize=256)
def _layout(
    shapes: tuple[torch.Size, ...], strides: tuple[tuple[int, ...], ...], parameterization: str, event_dims: int
) -> tuple[Layout, tuple[bool, ...]]:
    """How tensors of these shapes and strides lie once some of them are copied, and which; empty if none is."""
    scale_dims = event_dims + 1 if parameterization in MATRICES else event_dims
    dims = (event_dims, scale_dims, event_dims, scale_dims)
    pairs = [(shape, k) for shape, k in zip(shapes, dims, strict=True) if shape]
    event = max((shape[len(shape) - k :][:event_dims] for shape, k in pairs), key=len, default=torch.Size())
    batch = broadcast_shapes(*(shape[: len(shape) - k] for shape, k in pairs))
    n = event.numel()
    events = [event if k == event_dims else torch.Size((n, n)) for k in dims]
    steps = [_steps(*x, batch, e) for x, e in zip(zip(shapes, strides, strict=True), events, strict=True)]
    found = [(e.numel(), 1) if x is None else x for x, e in zip(steps, events, strict=True)]
    whole = tuple(batch + e for e in events)
    copied = tuple(x is None for x in steps)
    layout = Layout(
        parameterization, batch, whole, batch.numel(), n, tuple(r for r, _ in found), tuple(c for _, c in found),
        is_plain=shapes == whole and not any(copied),
    )  # fmt: skip
    return layout, copied if any(copied) else ()


def _steps(shape: torch.Size, stride: tuple[int, ...], batch: torch.Size, event: torch.Size) -> tuple[int, int] | None:
    """The steps of a tensor between rows and between coordinates; None if there is no one step."""
    if not shape:
        return 0, 0
    outer = len(shape) - len(event)
    if not _is_contiguous(shape[outer:], stride[outer:]):
        return None
    if shape[:outer].numel() == 1 or not any(stride[:outer]):
        return 0, 1
    if shape[:outer] == batch:
        if outer == 1:
            return stride[0], 1
        if _is_contiguous(shape, stride):
            return event.numel(), 1
    return None


def _is_contiguous(shape: torch.Size, stride: tuple[int, ...]) -> bool:
    step = 1
    for n, s in zip(reversed(shape), reversed(stride), strict=True):
        if n != 1 and s != step:
            return False
        step *= n
    return True


def weight_and_step(weight: Tensor) -> tuple[Tensor, int]:
    """The weights of the rows (copied where there is no one step between them), and the step from one to the next."""
    if weight.ndim == 0:
        return weight, 0
    if weight.ndim == 1:
        return weight, weight.stride(0)
    if not any(weight.stride()):
        return weight, 0
    return weight.contiguous(), 1


def gradient_buffers(tensors: Sequence[Tensor], layout: Layout, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Memory for the gradient of each tensor that is wanted, of full shape."""
    return [
        None
        if not want
        else empty_like(x)
        if x.shape == shape and x.is_contiguous()
        else empty(shape, x.dtype, x.device)
        for x, shape, want in zip(tensors, layout.shapes, wanted, strict=True)
    ]
