"""A column of a file as a tensor."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.numerics.arrays import FLOATING, from_numpy

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column

_EIGHT_BITS = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")
_INTEGERS = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
# The dtypes whose numbers are converted to float64 without loss of more than rounding; older versions lack some.
_NUMBERS = {*FLOATING, *(getattr(torch, name) for name in (*_INTEGERS, *_EIGHT_BITS) if hasattr(torch, name))}
_MAX_DIMENSIONS = 64


def is_integer(column: "Column") -> bool:
    """Whether a column contains integers."""
    if isinstance(column, np.ndarray):
        return column.dtype.kind in "iu"
    other = column.is_floating_point() or column.is_complex() or column.is_quantized
    return not other and column.dtype != torch.bool


def is_floating(column: "Column") -> bool:
    """Whether a column contains floating-point numbers."""
    return column.dtype.kind == "f" if isinstance(column, np.ndarray) else column.is_floating_point()


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
    if column.dtype not in _NUMBERS or column.layout != torch.strided or column.device.type == "meta":
        raise PosteriorFileError(
            f"{where} is a {column.layout} tensor of {column.dtype} on {column.device}; expected plain real numbers."
        )
    if column.ndim > _MAX_DIMENSIONS:
        raise PosteriorFileError(f"{where} has {column.ndim} dimensions, and torch computes with {_MAX_DIMENSIONS}.")
    if column.ndim == 0 or column.numel() == 0:
        raise PosteriorFileError(f"{where} has no rows (shape {tuple(column.shape)}); expected one row for each input.")
    return column
