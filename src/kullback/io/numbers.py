"""A column of a file as a tensor."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.numerics.arrays import from_numpy

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column


def is_integer(column: "Column") -> bool:
    """Whether a column contains integers."""
    if isinstance(column, np.ndarray):
        return column.dtype.kind in "iu"
    other = column.is_floating_point() or column.is_complex() or column.is_quantized
    return not other and column.dtype != torch.bool


def real_tensor(column: "Column", name: str) -> Tensor:
    """A column as a tensor of its own dtype.

    Raises:
        PosteriorFileError: if the column does not contain real numbers, or contains none.
    """
    where = f"column {printable(name)!r}"
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in "fiu" or column.dtype.itemsize > 8:
            raise PosteriorFileError(f"{where} holds {column.dtype}, expected numbers.")
        column = from_numpy(column)
    is_real = not (column.is_complex() or column.dtype == torch.bool or column.is_quantized)
    if not is_real or column.layout != torch.strided or column.device.type == "meta":
        raise PosteriorFileError(
            f"{where} is a {column.layout} tensor of {column.dtype} on {column.device}; expected plain real numbers."
        )
    if column.ndim == 0 or column.numel() == 0:
        raise PosteriorFileError(f"{where} has no rows (shape {tuple(column.shape)}); expected one row for each input.")
    return column
