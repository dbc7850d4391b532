"""A state of a metric as one float64 matrix, which can be gathered from all processes in one call.

The first line is the header: the number of rows that were counted, a code for what the other lines hold, and the event
shape, filled up with -1. A record of no rows is the single number 0, so that its shape alone says that it is empty:
nothing here waits for a device to tell a value, except ``Header.of``.
"""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.errors import ShapeError

_MOST_EVENT_DIMS = 8
_NO_DIMENSION = -1
HEADER_WIDTH = 2 + _MOST_EVENT_DIMS
"""The numbers of a header, which no line is shorter than."""


def empty(device: torch.device | None = None) -> Tensor:
    """The record of no rows."""
    return torch.zeros(1, 1, dtype=torch.float64, device=device)


def is_empty(record: Tensor) -> bool:
    """Whether a record is that of no rows."""
    return record.shape == (1, 1)


def filled(records: Iterable[Tensor]) -> list[Tensor]:
    """The records that have rows."""
    return [record for record in records if not is_empty(record)]


def write(count: int, code: int, event: torch.Size, lines: Tensor) -> Tensor:
    """The record of float64 lines."""
    if len(event) > _MOST_EVENT_DIMS:
        raise ShapeError(
            f"metrics take at most {_MOST_EVENT_DIMS} event dimensions, got event shape {tuple(event)}: flatten some."
        )
    shape = [*event, *[_NO_DIMENSION] * (_MOST_EVENT_DIMS - len(event))]
    head = _line((count, code, *shape), lines.device)
    width = max(HEADER_WIDTH, lines.shape[1])
    return torch.cat([torch.nn.functional.pad(x, (0, width - x.shape[1])) for x in (head, lines)])


@functools.lru_cache(maxsize=64)
def _line(numbers: tuple[int, ...], device: torch.device) -> Tensor:
    """A line of numbers. Batches are mostly of one size, and to copy numbers to a device is to wait for it."""
    return torch.tensor([numbers], dtype=torch.float64, device=device)


def merged_head(a: Tensor, b: Tensor) -> Tensor:
    """The first line of the record of the rows of both; NaN where they differ, which ``Header.of`` tells.

    Raises:
        ShapeError: if they differ, where looking does not wait for a device.
    """
    if a.shape[1] != b.shape[1]:
        raise _differ(f"event sizes differ: lines of {a.shape[1]} and of {b.shape[1]} numbers")
    head = torch.where(a[:1] == b[:1], a[:1], torch.nan)
    head[:, 0] = a[0, 0] + b[0, 0]
    if head.device.type == "cpu":
        Header.of(head)
    return head


class Header(NamedTuple):
    """What the first line says."""

    rows: int
    code: int
    event: torch.Size

    @classmethod
    def of(cls, record: Tensor) -> "Header":
        """The header of a record that is not empty.

        Raises:
            ShapeError: if rows of different event shapes, or of different kinds, were merged.
        """
        head = record[0, :HEADER_WIDTH]
        if head.isnan().any():
            raise _differ("event shapes, or kinds of covariances, differ")
        count, code, *shape = (int(x) for x in head.tolist())
        return cls(count, code, torch.Size(n for n in shape if n != _NO_DIMENSION))


def _differ(what: str) -> ShapeError:
    return ShapeError(
        f"the batches of a metric are not of one kind: {what}. Call reset() between, or use one for each."
    )
