"""How the operands of a pair of diagonals lie in memory: rows of n coordinates, one step from each row to the next."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.scale.diagonal import Parameterisation


class Layout(NamedTuple):
    """The rows of four operands: mean of p, scale of p, mean of q, scale of q."""

    kind: Parameterisation
    batch: Sequence[int]
    shape: Sequence[int]  # batch and event
    rows: int
    n: int
    row: tuple[int, ...]  # elements from one row to the next; 0 if all rows share the operand
    column: tuple[int, ...]  # 1, or 0 if all coordinates share it
    plain: bool  # is each operand as it was given, and of full shape?


def arranged(operands: Sequence[Tensor], kind: Parameterisation, event: int) -> tuple[Sequence[Tensor], Layout]:
    """The operands as a kernel takes them (copied only where there is no one step between rows), and their layout."""
    a, b, c, d = operands
    shape = a.shape
    batch = shape[: len(shape) - event]
    if (
        shape == b.shape == c.shape == d.shape
        and a.is_contiguous()
        and b.is_contiguous()
        and c.is_contiguous()
        and d.is_contiguous()
    ):
        rows = batch.numel()
        n = a.numel() // rows
        return operands, Layout(kind, batch, shape, rows, n, (n, n, n, n), (1, 1, 1, 1), plain=True)
    events = [x.shape[x.ndim - event :] for x in operands if x.ndim]
    inside = max(events, key=len, default=torch.Size())
    batch = torch.broadcast_shapes(*(x.shape[: x.ndim - event] for x in operands if x.ndim))
    n, rows = inside.numel(), batch.numel()
    laid = [_laid(x, batch, inside, n) for x in operands]
    tensors = [x for x, _, _ in laid]
    row, column = tuple(r for _, r, _ in laid), tuple(c for _, _, c in laid)
    return tensors, Layout(kind, batch, (*batch, *inside), rows, n, row, column, plain=False)


def _laid(x: Tensor, batch: torch.Size, event: torch.Size, n: int) -> tuple[Tensor, int, int]:
    """One operand, its step between rows and its step between coordinates."""
    if x.ndim == 0:
        return x, 0, 0
    outer = x.ndim - len(event)
    inside = x if outer == 0 else x[(0,) * outer]
    if inside.is_contiguous():
        if x.shape[:outer].numel() == 1 or not any(x.stride()[:outer]):
            return x, 0, 1
        if x.shape[:outer] == batch:
            if outer == 1:
                return x, x.stride(0), 1
            if x.is_contiguous():
                return x, n, 1
    return x.expand(*batch, *event).contiguous(), n, 1
