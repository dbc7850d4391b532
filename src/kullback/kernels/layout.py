"""How the tensors of a pair lie in memory: rows, one step from each to the next."""

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
    scale_dims = event_dims + 1 if parameterization in MATRICES else event_dims
    layout = _contiguous(tensors, parameterization, event_dims, scale_dims)
    if layout is None:
        layout = _shared_prior(tensors, parameterization, event_dims)
    if layout is not None:
        return tensors, layout
    return _strided(tensors, parameterization, event_dims, scale_dims)


def _contiguous(tensors: Sequence[Tensor], parameterization: str, event_dims: int, scale_dims: int) -> Layout | None:
    """All of full shape and contiguous: what training loops pass."""
    a, b, c, d = tensors
    shape = a.shape
    if not (
        shape == c.shape
        and b.shape == d.shape
        and (shape == b.shape if scale_dims == event_dims else b.shape == (*shape, shape[-1]))
        and a.is_contiguous()
        and b.is_contiguous()
        and c.is_contiguous()
        and d.is_contiguous()
    ):
        return None
    batch = shape[: len(shape) - event_dims]
    n_rows = batch.numel()
    n = a.numel() // n_rows
    step = n if scale_dims == event_dims else n * n
    strides = (n, step, n, step)
    return Layout(parameterization, batch, (shape, b.shape) * 2, n_rows, n, strides, (1, 1, 1, 1), is_plain=True)


def _shared_prior(tensors: Sequence[Tensor], parameterization: str, event_dims: int) -> Layout | None:
    """P contiguous, q two numbers: the standard normal."""
    a, b, c, d = tensors
    shape = a.shape
    if c.ndim or d.ndim or shape != b.shape or not (a.is_contiguous() and b.is_contiguous()):
        return None
    batch = shape[: len(shape) - event_dims]
    n_rows = batch.numel()
    n = a.numel() // n_rows
    return Layout(parameterization, batch, (shape,) * 4, n_rows, n, (n, n, 0, 0), (1, 1, 0, 0), is_plain=False)


def _strided(
    tensors: Sequence[Tensor], parameterization: str, event_dims: int, scale_dims: int
) -> tuple[Sequence[Tensor], Layout]:
    """Whatever broadcasts; what has no one step between its rows is copied."""
    dims = (event_dims, scale_dims, event_dims, scale_dims)
    pairs = [(x, k) for x, k in zip(tensors, dims, strict=True) if x.ndim]
    event = max((x.shape[x.ndim - k :][:event_dims] for x, k in pairs), key=len, default=torch.Size())
    batch = broadcast_shapes(*(x.shape[: x.ndim - k] for x, k in pairs))
    n = event.numel()
    events = [event if k == event_dims else torch.Size((n, n)) for k in dims]
    laid = [_by_rows(x, batch, e) for x, e in zip(tensors, events, strict=True)]
    rows, columns = tuple(r for _, r, _ in laid), tuple(c for _, _, c in laid)
    shapes = tuple((*batch, *e) for e in events)
    return [x for x, _, _ in laid], Layout(
        parameterization, batch, shapes, batch.numel(), n, rows, columns, is_plain=False
    )


def _by_rows(x: Tensor, batch: torch.Size, event: torch.Size) -> tuple[Tensor, int, int]:
    """One tensor, its step between rows and its step between coordinates."""
    if x.ndim == 0:
        return x, 0, 0
    outer, step = x.ndim - len(event), event.numel()
    inside = x if outer == 0 else x[(0,) * outer]
    if inside.is_contiguous():
        if x.shape[:outer].numel() == 1 or not any(x.stride()[:outer]):
            return x, 0, 1
        if x.shape[:outer] == batch:
            if outer == 1:
                return x, x.stride(0), 1
            if x.is_contiguous():
                return x, step, 1
    return x.expand(*batch, *event).contiguous(), step, 1


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
