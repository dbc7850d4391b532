"""Some rows of a batch, computed otherwise than the rest."""

from collections.abc import Callable

import torch
from torch import Tensor

from kullback.numerics.guard import may_read_values


def replaced(value: Tensor, rows: Tensor, function: Callable[..., Tensor], *matrices: Tensor) -> Tensor:
    """``value`` of a batch, in the selected rows replaced by ``function`` of these rows of matrices.

    Only the selected rows are computed where the selection can be read. Elsewhere all are, those not selected from
    matrices of zeros.

    Args:
        value: ``(*batch, ...)``.
        rows: which to replace, bool ``(*batch,)``.
        function: of matrices with one batch of any shape, the values of that batch.
        matrices: their batches broadcast to that of ``value``.
    """
    matrices = tuple(x.expand(*rows.shape, *x.shape[-2:]) for x in matrices)
    if not may_read_values(rows):
        found = function(*(torch.where(rows[..., None, None], x, 0.0) for x in matrices))
        return torch.where(rows.reshape(rows.shape + (1,) * (value.ndim - rows.ndim)), found, value)
    if rows.all():
        return function(*matrices)
    if not rows.any():
        return value
    return value.index_put((rows,), function(*(x[rows] for x in matrices)))
