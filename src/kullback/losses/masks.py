"""Masks of the rows, or of the entries, that count."""

from typing import Any

import torch
from torch import Tensor

from kullback.divergences.api import check_shapes
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.guard import may_read_values
from kullback.numerics.tensors import broadcast_shapes


def as_mask(mask: Any, what: str) -> Tensor:
    """A mask of anything like an array as True and False; ``what`` is what counts or does not, in a message.

    Raises:
        ValueError: for other values than True and False, or 1 and 0, where values can be read.
    """
    try:
        given: Tensor = torch.as_tensor(mask)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"mask is an array of True and False, or 1 and 0, got {type(mask).__name__}.") from None
    if given.dtype == torch.bool:
        return given
    if may_read_values(given):
        other = (given != 0) & (given != 1)
        if other.any():
            raise ValueError(
                f"mask has the value {given[other][0].item():.4g}; {what} counts or does not: True or False, 1 or 0. "
                "Factors are weights, and no mask."
            )
    return given.bool()


def rows_that_count(p: Gaussian, q: Gaussian, mask: Any) -> tuple[Gaussian, Gaussian, Tensor]:
    """Both Gaussians of the rows that a mask selects, and the mask.

    Raises:
        ShapeError: if the mask does not have the shape of the batch.
        ValueError: if no row counts, or the mask has other values than True and False, or 1 and 0.
    """
    check_shapes(p, q)
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    mask = as_mask(mask, "a row")
    if mask.shape != batch:
        raise ShapeError(f"mask has shape {tuple(mask.shape)}, the batch has {tuple(batch)}.")
    if not mask.any():
        raise ValueError("the mask selects no row: there is no mean.")
    # One for all rows stays one for all rows.
    p, q = (g.expand(batch)[mask] if g.batch_shape else g for g in (p, q))
    return p, q, mask
