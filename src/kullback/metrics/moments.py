"""The moments of rows as a record: a line of means, and a line of sums of squared deviations."""

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from kullback.metrics import record
from kullback.metrics.record import Header
from kullback.numerics.moments import RunningMoments


def of_rows(rows: Tensor, event: torch.Size) -> Tensor:
    """The record of rows ``(n, *event)``."""
    if not len(rows):
        return record.empty(rows.device)
    moments = RunningMoments.of(rows.reshape(len(rows), -1))
    return record.write(len(rows), 0, event, torch.stack([moments.mean, moments.squares]))


def merge(records: Iterable[Tensor]) -> Tensor:
    """The record of the rows of all."""
    records = list(records)
    filled = record.filled(records)
    return functools.reduce(_merge_two, filled) if filled else records[0]


def _merge_two(a: Tensor, b: Tensor) -> Tensor:
    head = record.merged_head(a, b)
    both = _moments(a[0, 0], a).merge(_moments(b[0, 0], b))
    return torch.cat([head, torch.stack([both.mean, both.squares])])


def _moments(count: Any, x: Tensor) -> RunningMoments:
    # Merging is arithmetic, so that a count on a device is not waited for.
    return RunningMoments(count, x[1], x[2])


def read(x: Tensor) -> tuple[RunningMoments, torch.Size]:
    """The moments that a record holds, and the event shape; NaN, of a single number, if it is empty."""
    if record.is_empty(x):
        nan = torch.full((), torch.nan, dtype=x.dtype, device=x.device)
        return RunningMoments(0, nan, nan), torch.Size()
    header = Header.of(x)
    lines = x[1:, : header.event.numel()].reshape(2, *header.event)
    return RunningMoments(header.rows, lines[0], lines[1]), header.event
