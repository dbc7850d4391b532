"""How the operands of a pair lie in memory: rows, one step from each to the next."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from kullback.common import broadcast_shapes

Kind = Literal["std", "variance", "logvar", "covariance", "scale_tril"]


class Layout(NamedTuple):
    """The rows of four operands: mean of p, scale of p, mean of q, scale of q."""

    kind: Kind
    batch: Sequence[int]
    shapes: tuple[Sequence[int], ...]  # of each operand, with the whole batch
    rows: int
    n: int  # coordinates
    row: tuple[int, ...]  # elements from one row to the next; 0 if all rows share the operand
    column: tuple[int, ...]  # 1, or 0 if all coordinates share it
    plain: bool  # is each operand as it was given, and of full shape?


def arranged(operands: Sequence[Tensor], kind: Kind, event: int) -> tuple[Sequence[Tensor], Layout]:
    """The operands as a kernel takes them (copied only where there is no one step between rows), and their layout."""
    a, b, c, d = operands
    shape = a.shape
    dims = event + 1 if kind in ("covariance", "scale_tril") else event  # of a scale that are not batch
    if (
        shape == c.shape
        and b.shape == d.shape
        and (shape == b.shape if dims == event else b.shape == (*shape, shape[-1]))
        and a.is_contiguous()
        and b.is_contiguous()
        and c.is_contiguous()
        and d.is_contiguous()
    ):
        batch = shape[: len(shape) - event]
        rows = batch.numel()
        n = a.numel() // rows
        step = n if dims == event else n * n
        return operands, Layout(
            kind, batch, (shape, b.shape) * 2, rows, n, (n, step, n, step), (1, 1, 1, 1), plain=True
        )
    if not c.ndim and not d.ndim and shape == b.shape and a.is_contiguous() and b.is_contiguous():
        batch = shape[: len(shape) - event]
        rows = batch.numel()
        n = a.numel() // rows
        return operands, Layout(kind, batch, (shape,) * 4, rows, n, (n, n, 0, 0), (1, 1, 0, 0), plain=False)
    inner = (event, dims, event, dims)
    pairs = [(x, k) for x, k in zip(operands, inner, strict=True) if x.ndim]
    inside = max((x.shape[x.ndim - k :][:event] for x, k in pairs), key=len, default=torch.Size())
    batch = broadcast_shapes(*(x.shape[: x.ndim - k] for x, k in pairs))
    n, rows = inside.numel(), batch.numel()
    events = [inside if k == event else torch.Size((n, n)) for k in inner]
    laid = [_laid(x, batch, e) for x, e in zip(operands, events, strict=True)]
    tensors = [x for x, _, _ in laid]
    row, column = tuple(r for _, r, _ in laid), tuple(c for _, _, c in laid)
    return tensors, Layout(kind, batch, tuple((*batch, *e) for e in events), rows, n, row, column, plain=False)


def _laid(x: Tensor, batch: torch.Size, event: torch.Size) -> tuple[Tensor, int, int]:
    """One operand, its step between rows and its step between coordinates."""
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
