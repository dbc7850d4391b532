"""Arrow files, ``.arrow``, ``.ipc`` and ``.feather``, by record batches; as files, or as streams."""

import contextlib
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

SUFFIXES, IS_TABLE = (".arrow", ".ipc", ".feather"), True

_MAGIC = b"ARROW1"


def read(path: "Place") -> "Columns":
    """The columns of the table."""
    import pyarrow as pa

    with path.open("rb") as file:
        if file.read(4) == b"FEA1":
            raise ValueError("it is Feather of version 1; write it again as version 2")
    with _opened(path, None) as (reader, _):
        names = one_of_each(reader.schema.names)
        light = [i for i, field in enumerate(reader.schema) if not pa.types.is_nested(field.type)]
    # Of a file of compressed batches, only one column is decompressed to learn how many rows they have.
    with _opened(path, (light or [0])[:1]) as (_, batches):
        starts = tuple(itertools.accumulate((batch.num_rows for batch in batches(0)), initial=0))
    return {name: ArrowColumn(path, (name,), (i,), starts) for i, name in enumerate(names)}


class ArrowColumn(Chunked):
    """A column of the table, or several as coordinates. They are mapped where they can be."""

    def __init__(
        self, path: "Place", names: tuple[str, ...], indices: tuple[int, ...], starts: tuple[int, ...]
    ) -> None:
        self.path, self.names, self.indices, self._starts = path, names, indices, starts

    @property
    def starts(self) -> Sequence[int]:
        """The first row of each record batch, and the number of rows."""
        return self._starts

    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from a record batch on."""
        # The shape of a row, if it is known, is that of one that is missing, too.
        width = vars(self).get("shape", ())[1:] or None
        with _opened(self.path, list(self.indices)) as (_, batches):
            for row, batch in zip(self._starts[chunk:], batches(chunk), strict=False):
                step = max(size, len(batch) * LEAST_BYTES // max(1, batch.nbytes))
                for first in range(0, len(batch), step):
                    piece = arrow_rows(batch[first : first + step], self.names, self.place, row + first, width)
                    width = piece.shape[1:]
                    yield piece

    def beside(self, others: Sequence[Stored]) -> "ArrowColumn | None":
        """These columns as one, for which the file is opened once."""
        own = [self, *(other for other in others if isinstance(other, ArrowColumn))]
        if len(own) <= len(others):
            return None
        names, indices = (tuple(x for of in own for x in getattr(of, field)) for field in ("names", "indices"))
        return ArrowColumn(self.path, names, indices, self._starts)

    def place(self, row: int) -> str:
        """The row, and its record batch if there are several."""
        if len(self._starts) <= 2:
            return super().place(row)
        return f"record batch {self.chunk_of(row):,}, {super().place(row)}"


@contextlib.contextmanager
def _opened(path: "Place", columns: list[int] | None) -> Iterator[tuple[Any, Any]]:
    """A reader of some columns, and what gives its batches from one on."""
    import pyarrow as pa

    options = pa.ipc.IpcReadOptions(included_fields=columns, use_threads=False)
    with path.open("rb") as file:
        is_file = file.read(len(_MAGIC)) == _MAGIC
    with contextlib.ExitStack() as stack:
        source = pa.memory_map(str(path)) if isinstance(path, Path) else stack.enter_context(path.open("rb"))
        stack.callback(source.close)
        if is_file:
            reader = stack.enter_context(pa.ipc.open_file(source, options=options))
            yield reader, lambda first: map(_valid, map(reader.get_batch, range(first, reader.num_record_batches)))
        else:
            reader = stack.enter_context(pa.ipc.open_stream(source, options=options))
            yield reader, lambda first: map(_valid, itertools.islice(reader, first, None))


def _valid(batch: Any) -> Any:
    """A record batch whose buffers hold what it states: Arrow itself would read beyond their ends.

    Raises:
        ArrowInvalid: if they do not.
    """
    batch.validate(full=True)
    return batch
