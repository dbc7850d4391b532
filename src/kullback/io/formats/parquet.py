"""``.parquet``, and the columns of Arrow tables."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".parquet",), "posteriors", True


def read(path: Path) -> "Columns":
    """The columns of the table."""
    import pyarrow.parquet

    def column(name: str) -> "Column":
        return arrow_column(name, pyarrow.parquet.read_table(path, columns=[name]).column(0))

    with pyarrow.parquet.ParquetFile(path) as file:
        return {name: functools.partial(column, name) for name in file.schema_arrow.names}


def arrow_column(name: str, column: Any) -> "Column":
    """A column of an Arrow table as an array; a column of lists, of equal lengths, becomes two-dimensional."""
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], type=array.type)
    if array.null_count:
        row = array.is_null().to_pylist().index(True)
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: empty (null).")
    if not (
        pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type)
    ):
        return np.asarray(array.to_numpy(zero_copy_only=False))
    values = array.flatten()
    lengths = array.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths != lengths[0]).any():
        row = int((lengths != lengths[0]).argmax())
        raise PosteriorFileError(
            f"column {printable(name)!r}, row {row}: {lengths[row]} numbers where row 0 has {lengths[0]}."
        )
    width = int(lengths[0]) if len(lengths) else 0
    if values.null_count:
        row = values.is_null().to_pylist().index(True) // width
        raise PosteriorFileError(f"column {printable(name)!r}, row {row}: holds an empty number (null).")
    return np.asarray(values.to_numpy(zero_copy_only=False)).reshape(len(array), width)
