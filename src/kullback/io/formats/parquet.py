"""``.parquet``, by row groups."""

import bisect
import contextlib
import functools
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.io.arrow import arrow_rows, one_of_each
from kullback.io.chunks import LEAST_BYTES, Chunked
from kullback.io.stored import Stored

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place
    from kullback.io.stored import Column

SUFFIXES, IS_TABLE = (".parquet",), True

# How many bytes of a row group are read at once.
_BUFFER = 2**20


def read(path: "Place") -> "Columns":
    """The columns of the table."""
    import pyarrow.parquet

    with path.open("rb") as opened, pyarrow.parquet.ParquetFile(opened) as file:
        metadata, names = file.metadata, one_of_each(file.schema_arrow.names)
        sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    starts = tuple(itertools.accumulate(sizes, initial=0))
    return {name: ParquetColumn(path, (name,), starts) for name in names}


class ParquetColumn(Chunked):
    """A column of the table, or several as coordinates; a batch of it is in memory, and not a row group."""

    def __init__(self, path: "Place", names: tuple[str, ...], starts: tuple[int, ...]) -> None:
        self.path, self.names, self._starts = path, names, starts

    @property
    def starts(self) -> Sequence[int]:
        """The first row of each row group, and the number of rows."""
        return self._starts

    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from a row group on."""
        with _opened(self.path) as file:
            metadata = file.metadata
        size = max(size, self._least(metadata, chunk))
        # The shape of a row, if it is known, is that of one that is missing, too.
        row, width = self._starts[chunk], vars(self).get("shape", ())[1:] or None
        for groups in self._groups(chunk, size):
            # When it is closed, the pages that were read are given back.
            with _opened(self.path, metadata) as file:
                for batch in file.iter_batches(size, row_groups=groups, columns=list(self.names), use_threads=False):
                    array = arrow_rows(batch, self.names, self.place, row, width)
                    row, width = row + len(array), array.shape[1:]
                    yield array

    def _least(self, metadata: Any, chunk: int) -> int:
        """How many rows of a row group have about so many bytes as a piece has at least."""
        if len(self.names) > 1:
            return LEAST_BYTES // (8 * len(self.names))
        (name,), group = self.names, metadata.row_group(chunk)
        columns = [group.column(i) for i in range(group.num_columns)]
        own = [x for x in columns if x.path_in_schema == name or x.path_in_schema.startswith(f"{name}.")]
        size = sum(max(8 * x.num_values, x.total_uncompressed_size) for x in own)
        return int(group.num_rows * LEAST_BYTES // max(1, size))

    def _groups(self, chunk: int, rows: int) -> Iterator[list[int]]:
        """The row groups from one on, so many together as have these rows: each that Arrow is told of takes time,
        whether it is read or not.
        """
        while chunk < len(self._starts) - 1:
            end = min(bisect.bisect_left(self._starts, self._starts[chunk] + rows), len(self._starts) - 1)
            yield list(range(chunk, end))
            chunk = end

    def beside(self, others: Sequence[Stored]) -> "ParquetColumn | None":
        """These columns as one, for which the file is opened once."""
        names = [name for other in others if isinstance(other, ParquetColumn) for name in other.names]
        return ParquetColumn(self.path, (*self.names, *names), self._starts) if len(names) == len(others) else None

    def place(self, row: int) -> str:
        """The row, and its row group if there are several."""
        if len(self._starts) <= 2:
            return super().place(row)
        return f"row group {self.chunk_of(row):,}, {super().place(row)}"


@contextlib.contextmanager
def _opened(path: "Place", metadata: Any = None) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile

    # Where pages have checksums, these are compared.
    open_file = functools.partial(ParquetFile, metadata=metadata, page_checksum_verification=True)
    # A file of this machine is mapped. Of a file elsewhere a buffer is in memory.
    if isinstance(path, Path):
        with open_file(path, memory_map=True) as file:
            yield file
    else:
        with path.open("rb") as opened, open_file(opened, buffer_size=_BUFFER) as file:
            yield file
