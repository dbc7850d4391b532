"""Numbers that are missing (null), as NaNs that say so: as R does, by bits that no computation gives."""

import math
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# The bits that are set lie among the first seven of the mantissa, so that float16 keeps them.
_BITS = 0x7FFA_8000_0000_0000
NULL: float = struct.unpack("<d", struct.pack("<Q", _BITS))[0]
"""The NaN of a missing number, also after a conversion to 32 or 16 bits."""


def is_null(value: Any) -> bool:
    """Whether a number is missing."""
    return isinstance(value, float) and math.isnan(value) and struct.unpack("<Q", struct.pack("<d", value))[0] == _BITS


def shown(value: float) -> str:
    """A number, for a message."""
    return "null" if is_null(value) else f"{value:g}"


def with_nulls(values: "np.ndarray[Any, Any]", missing: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """All rows, of which some are missing, from those that are there; integers as float64."""
    import numpy as np

    dtype = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    found = np.full((len(missing), *values.shape[1:]), NULL, dtype)
    found[~missing] = values
    return found
