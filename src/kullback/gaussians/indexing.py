"""What an index of a batch, and a list of coordinates, mean."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.errors import ShapeError


def batch_index(index: Any, batch: torch.Size) -> Callable[[Tensor, int], Tensor]:
    """What takes a tensor, and the number of its dimensions that are not batch, to the part that is indexed.

    Raises:
        IndexError: for more indices than the batch has dimensions.
    """
    parts = tuple(
        torch.as_tensor(part, device="cpu") if isinstance(part, (list, np.ndarray)) else part
        for part in (index if isinstance(index, tuple) else (index,))
    )
    used = sum(_dims_used(part) for part in parts)
    if used > len(batch):
        raise IndexError(
            f"{used} batch dimensions indexed, batch_shape is {tuple(batch)}; coordinates are not indexed: "
            "marginal(dims) is the Gaussian of some of them."
        )
    if not any(part is Ellipsis for part in parts):
        parts = (*parts, Ellipsis)

    def pick(x: Tensor, n: int) -> Tensor:
        # Without dimensions it is one number for all of the batch, and stays so.
        if not x.ndim and n:
            return x
        return x.broadcast_to(batch + x.shape[x.ndim - n :])[(*parts, *[slice(None)] * n)]

    return pick


def _dims_used(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, Tensor) and part.dtype == torch.bool else 1


def coordinate_index(dims: int | Sequence[int], event: torch.Size) -> list[int]:
    """Some coordinates of vectors, counted from 0.

    Raises:
        ShapeError: unless there is one event dimension.
        IndexError: for a coordinate that there is not.
        ValueError: for a coordinate that occurs twice.
    """
    if len(event) != 1:
        raise ShapeError(f"marginal takes Gaussians with one event dimension, got event shape {tuple(event)}.")
    d = event[0]
    given = [int(i) for i in (dims if isinstance(dims, Sequence | Tensor | np.ndarray) else (dims,))]
    outside = [i for i in given if not -d <= i < d]
    if outside:
        raise IndexError(f"coordinate {outside[0]} is out of range for {d} coordinates.")
    index = [i % d for i in given]
    if len(set(index)) != len(index):
        raise ValueError(f"a coordinate occurs twice in {given}: its covariance with itself would be singular.")
    return index
