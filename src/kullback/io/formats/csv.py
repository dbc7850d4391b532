"""``.csv``, with or without a header, separated by commas, semicolons or tabs; read in blocks of whole lines."""

import csv
import dataclasses
import functools
import io
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.arrow import arrow_array, one_of_each
from kullback.io.chunks import Chunked
from kullback.io.formats.registry import Unnamed

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place
    from kullback.io.stored import Column

SUFFIXES, IS_TABLE = (".csv",), True

_BLOCK = 2**23
_LONGEST = 2**26
# As many blocks are kept as columns of two files, or a few threads, read in step.
_KEPT = 4

# How a program writes an integer, which pandas does with a fraction of 0 if another was missing once.
_INTEGER = r"^\s*(0|-?[1-9][0-9]*)(\.0*)?\s*$"


@dataclass(frozen=True)
class _Table:
    """Where the blocks of a file are, and what its columns hold."""

    path: "Place"
    delimiter: str
    names: tuple[str, ...]
    key: str
    """Another for each reading: a file may have changed since."""
    offsets: tuple[int, ...] = ()
    """The first byte of each block, and the end of the last."""
    starts: tuple[int, ...] = ()
    """The first row of each block, and the number of rows."""
    types: tuple[Any, ...] = ()
    text: str | None = None
    """The only column that is read, as text."""


def read(path: "Place") -> "Columns":
    """The columns of the table."""
    import pyarrow as pa
    import pyarrow.csv

    with path.open("rb") as file:
        header = _rest_of_line(file)
        delimiter = max(",;\t", key=header.decode("utf-8-sig", errors="replace").count)
        header += _rest_of_row(file, header, delimiter)
    first = header.decode("utf-8-sig", errors="replace")
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    # A first row of numbers is data, unless it is 0, 1, 2, …: the names that pandas gives to columns without names.
    counted = [cell for cell in cells if cell] == [str(i) for i in range(len(cells) - cells.count(""))]
    headless = all(_is_number(cell) for cell in cells if cell) and not counted
    named = pyarrow.csv.read_csv(
        pa.BufferReader(header),
        read_options=pyarrow.csv.ReadOptions(autogenerate_column_names=headless),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
    )
    table = _Table(path, delimiter, tuple(one_of_each(named.column_names)), uuid.uuid4().hex)
    table = _scanned(table, 0 if headless else len(header))
    columns = {name: CsvColumn(table, name) for name in table.names}
    return Unnamed(columns) if headless else dict(columns)


class CsvColumn(Chunked):
    """A column of the table. Columns that are read in step share the blocks that are read."""

    def __init__(self, table: _Table, name: str) -> None:
        self.table, self.name = table, name

    @property
    def starts(self) -> Sequence[int]:
        """The first row of each block, and the number of rows."""
        return self.table.starts

    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from a block on."""
        for block in range(chunk, len(self.starts) - 1):
            column = _block(self.table, block).column(self.name)
            yield arrow_array(column, self.name, self.place, self.starts[block])

    @functools.cached_property
    def has_codes(self) -> bool:
        """Whether a number is written otherwise than an integer is, or a column holds times or truth values."""
        import pyarrow as pa
        import pyarrow.compute

        kind = self.table.types[self.table.names.index(self.name)]
        if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_null(kind):
            return False
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            return True
        texts = (_block(self.as_text().table, block).column(self.name) for block in range(len(self.starts) - 1))
        return any(
            pa.compute.any(pa.compute.invert(pa.compute.match_substring_regex(x, _INTEGER))).as_py() for x in texts
        )

    def as_text(self) -> "CsvColumn":
        """The column with its cells as they are written."""
        import pyarrow as pa

        types = tuple(
            pa.string() if name == self.name else kind
            for name, kind in zip(self.table.names, self.table.types, strict=True)
        )
        return CsvColumn(dataclasses.replace(self.table, types=types, text=self.name), self.name)


def _rest_of_line(file: IO[bytes]) -> bytes:
    """A file without ends of lines is not read whole."""
    line = file.readline(_LONGEST)
    if len(line) == _LONGEST:
        raise PosteriorFileError(f"has a line of {_LONGEST // 2**20:,} MiB or more.")
    return line


def _rest_of_row(file: IO[bytes], lines: bytes, delimiter: str) -> bytes:
    """The lines that follow, if the last row of some has a line break between quotes and goes on."""
    rest, size, is_open = [], 0, _ends_in_quotes(lines, delimiter)
    while is_open and (line := _rest_of_line(file)):
        rest.append(line)
        size += len(line)
        if size > _LONGEST:
            raise PosteriorFileError(f"has a quote with no other in the next {_LONGEST // 2**20:,} MiB.")
        is_open = _ends_in_quotes(b'"' + line, delimiter)
    return b"".join(rest)


def _ends_in_quotes(lines: bytes, delimiter: str) -> bool:
    """Whether lines end between the quotes of a cell."""
    if b'"' not in lines:
        return False
    cells = re.compile(rb'(?:\A(?:\xef\xbb\xbf)?|[%b\r\n])"[^"]*(?:""[^"]*)*("?)' % delimiter.encode())
    return any(not cell[1] for cell in cells.finditer(lines))


def _scanned(table: _Table, offset: int) -> _Table:
    """The table with its blocks, and with types that hold what all of them hold."""
    import pyarrow as pa

    offsets, starts = [offset], [0]
    types = [pa.null()] * len(table.names)
    with table.path.open("rb") as file:
        file.seek(offset)
        while data := file.read(_BLOCK):
            data += _rest_of_line(file)
            data += _rest_of_row(file, data, table.delimiter)
            try:
                found = _parsed(table, data)
            except pa.ArrowInvalid as error:
                raise PosteriorFileError(f"in the rows from {starts[-1]:,} on: {error}") from None
            offsets.append(offsets[-1] + len(data))
            starts.append(starts[-1] + found.num_rows)
            types = [_common(a, _type(x)) for a, x in zip(types, found.columns, strict=True)]
    return _Table(table.path, table.delimiter, table.names, table.key, tuple(offsets), tuple(starts), tuple(types))


@functools.lru_cache(maxsize=_KEPT)
def _block(table: _Table, block: int) -> Any:
    with table.path.open("rb") as file:
        file.seek(table.offsets[block])
        found = _parsed(table, file.read(table.offsets[block + 1] - table.offsets[block]))
    if found.num_rows != table.starts[block + 1] - table.starts[block]:
        raise ValueError("it changes while it is read")
    return found


def _parsed(table: _Table, data: bytes) -> Any:
    """Lines as a table."""
    import pyarrow as pa
    import pyarrow.csv

    if not data.strip():
        return pa.table({name: pa.nulls(0) for name in table.names})
    return pyarrow.csv.read_csv(
        io.BytesIO(data),
        read_options=pyarrow.csv.ReadOptions(column_names=table.names, use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.csv.ParseOptions(delimiter=table.delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict(zip(table.names, table.types, strict=False)),
            include_columns=[] if table.text is None else [table.text],
            strings_can_be_null=table.text is not None,
        ),
    )


def _type(column: Any) -> Any:
    """The type of a column; of integers of which some are missing, that of numbers which may be."""
    import pyarrow as pa

    return pa.float64() if column.null_count and pa.types.is_integer(column.type) else column.type


def _common(a: Any, b: Any) -> Any:
    """The type that holds what is of either."""
    import pyarrow as pa

    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if {a, b} == {pa.int64(), pa.float64()}:
        return pa.float64()
    return pa.binary() if pa.binary() in (a, b) else pa.string()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
