"""Tables with named columns, as pandas, polars and pyarrow have them, as arrays."""

from typing import Any

import numpy as np


def without_names(x: Any, name: str) -> Any:
    """The numbers of a table as an array; anything else as it is.

    Raises:
        TypeError: if columns hold something else than real numbers; the message names them.
    """
    names = getattr(x, "column_names", None) or getattr(x, "columns", None)
    if names is None or isinstance(x, np.ndarray) or np.asarray(x).dtype.kind in "fiu":
        return x
    series = [x.iloc[:, i] if hasattr(x, "iloc") else x[column] for i, column in enumerate(names)]
    columns = [np.asarray(column) for column in series]
    others = {
        column: "text" if any(isinstance(v, str) for v in values) else str(values.dtype)
        for column, values in zip(names, columns, strict=True)
        if values.dtype.kind not in "fiu"
    }
    if others:
        listed = ", ".join(f"{column!r} ({what})" for column, what in others.items())
        raise TypeError(
            f"{name}: samples are rows of real numbers, and {len(others)} of {len(columns)} columns hold others: "
            f"{listed}. Leave them out, or turn them into numbers."
        )
    return np.column_stack(columns)
