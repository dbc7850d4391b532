"""Text from files and from callers, made safe to print and to write."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def printable(text: object) -> str:
    """``text`` on one line, with every character that could control a terminal replaced by its escape sequence."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def unwritable_row(column: "np.ndarray[Any, Any]") -> int | None:
    """The first row of an array of text that is not Unicode, and that no file could hold: with a lone surrogate, or
    with a number above that of the last character. None if there is none.
    """
    import numpy as np

    if column.dtype.kind != "U" or not column.size or not column.dtype.itemsize:
        return None
    codes = np.ascontiguousarray(column).view(np.dtype(np.uint32).newbyteorder(column.dtype.byteorder))
    wrong = ((codes >= 0xD800) & (codes < 0xE000)) | (codes > 0x10FFFF)
    rows = wrong.reshape(len(column), -1).any(1)
    return int(rows.argmax()) if rows.any() else None
