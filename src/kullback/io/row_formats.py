"""The formats in which columns of rows are written: in parts, which are then put together without holding them all."""

import abc
import csv
import io
import shutil
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.text import printable
from kullback.numerics.files import placed

if TYPE_CHECKING:
    import numpy as np

    Columns = Mapping[str, "np.ndarray[Any, Any]"]


class RowFormat(abc.ABC):
    """A format of files that hold columns of rows."""

    suffix: str

    @abc.abstractmethod
    def write(self, path: Path, columns: "Columns") -> None:
        """Write one part, which is a file of its own."""

    @abc.abstractmethod
    def assemble(self, parts: Sequence[Path], output: Path) -> None:
        """Write the rows of all parts, of which there is at least one, in their order. The same parts give the same
        bytes.
        """


class _Csv(RowFormat):
    suffix = ".csv"

    def write(self, path: Path, columns: "Columns") -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            write_csv(file, columns)

    def assemble(self, parts: Sequence[Path], output: Path) -> None:
        with output.open("wb") as whole:
            for number, path in enumerate(parts):
                with path.open("rb") as part:
                    if number:
                        part.readline()
                    shutil.copyfileobj(part, whole, 2**20)


class _Parquet(RowFormat):
    suffix = ".parquet"

    def write(self, path: Path, columns: "Columns") -> None:
        import pyarrow as pa

        _write_table(pa.table({name: list(x) if x.ndim > 1 else x for name, x in columns.items()}), path)

    def assemble(self, parts: Sequence[Path], output: Path) -> None:
        from pyarrow import parquet

        schema = _common_schema(parts)
        with parquet.ParquetWriter(output, schema, **_PARQUET) as writer:
            for part in parts:
                table = _read_table(part, schema)
                writer.write_table(table, row_group_size=max(1, len(table)))

    def agree(self, parts: Sequence[Path]) -> None:
        """Make the types of the columns of all parts the same, so that the parts can be read as one table."""
        from pyarrow import parquet

        schema = _common_schema(parts)
        for part in parts:
            if parquet.read_schema(part) != schema:
                table = _read_table(part, schema)
                with placed(part) as changed:
                    _write_table(table, changed)


# Ids and values hardly occur twice: a dictionary of them takes time, and makes the file larger.
_PARQUET: dict[str, Any] = {"use_dictionary": False}


def _write_table(table: Any, path: Path) -> None:
    """Write a table in one row group."""
    from pyarrow import parquet

    parquet.write_table(table, path, row_group_size=max(1, len(table)), **_PARQUET)


def _read_table(path: Path, schema: Any) -> Any:
    """The table of a part, with these types."""
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path, partitioning=None)
    try:
        return table.cast(schema)
    except pa.ArrowInvalid as error:
        raise _no_common_type() from error


def _common_schema(parts: Sequence[Path]) -> Any:
    """The types that hold every value of the columns of all parts."""
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    schemas = [parquet.read_schema(part) for part in parts]
    fields = []
    for name in schemas[0].names:
        types = {schema.field(name).type for schema in schemas}
        if len(types) == 1:
            fields.append(schemas[0].field(name))
        else:
            common = common_dtype(np.dtype(str) if x == pa.string() else _dtype(x) for x in types)
            fields.append(pa.field(name, pa.from_numpy_dtype(common)))
    return pa.schema(fields)


def _dtype(numbers: Any) -> "np.dtype[Any]":
    """The dtype of numbers of this type of pyarrow, whose to_pandas_dtype() needs pandas."""
    import pyarrow as pa

    dtype: np.dtype[Any] = pa.array([], numbers).to_numpy().dtype
    return dtype


class _Npz(RowFormat):
    suffix = ".npz"

    def write(self, path: Path, columns: "Columns") -> None:
        import numpy as np

        with zipfile.ZipFile(path, "w") as archive:
            for name, column in columns.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                    np.lib.format.write_array(file, column, allow_pickle=False)

    def assemble(self, parts: Sequence[Path], output: Path) -> None:
        with zipfile.ZipFile(parts[0]) as first:
            members = first.namelist()
        with zipfile.ZipFile(output, "w", allowZip64=True) as whole:
            for member in members:
                # A date of its own would make two runs differ.
                info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
                with whole.open(info, "w", force_zip64=True) as file:
                    _join_arrays(parts, member, file)


def _join_arrays(parts: Sequence[Path], member: str, file: Any) -> None:
    """Write the arrays of one name as one array."""
    import numpy as np
    from numpy.lib import format as npy

    headers = []
    for part in parts:
        with zipfile.ZipFile(part) as archive, archive.open(member) as array:
            npy.read_magic(array)
            shape, _, dtype = npy.read_array_header_1_0(array)
            headers.append((shape, dtype))
    dtype = common_dtype(dtype for _, dtype in headers)
    shape = (sum(shape[0] for shape, _ in headers), *headers[0][0][1:])
    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})
    for part in parts:
        with np.load(part) as archive:
            file.write(_cast(archive[member], dtype).tobytes())


ROW_FORMATS: dict[str, RowFormat] = {".npz": _Npz(), ".parquet": _Parquet(), ".csv": _Csv()}
"""The formats by the suffixes of their files."""

FOLDER = _Parquet()
"""The format of the parts of a folder."""


def write_csv(file: Any, columns: "Columns", *, header: bool = True) -> None:
    """Write columns as CSV, each number with as many digits as are needed to read back the same number."""
    writer = csv.writer(file, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(zip(*map(_texts, columns.values()), strict=True))


def csv_text(columns: "Columns", *, header: bool) -> str:
    """Columns as the text of CSV."""
    file = io.StringIO(newline="")
    write_csv(file, columns, header=header)
    return file.getvalue()


def _texts(column: "np.ndarray[Any, Any]") -> Iterable[Any]:
    """What CSV writes of each value of a column."""
    # The shortest digits of a float32 are those of float32; Python's numbers are float64.
    return map(str, column) if column.dtype.kind == "f" and column.dtype.itemsize < 8 else column.tolist()


def id_array(ids: Sequence[Any]) -> "np.ndarray[Any, Any]":
    """Ids, all integers or all strings, as an array of int64, uint64 or strings.

    Raises:
        PosteriorFileError: if no array holds them.
    """
    import numpy as np

    if not len(ids):
        return np.empty(0, dtype=np.int64)
    if isinstance(ids, np.ndarray | memoryview):
        array: np.ndarray[Any, Any] = np.asarray(ids)
    elif isinstance(ids, range):
        array = np.arange(ids.start, ids.stop, ids.step)
    else:
        array = (
            _integers(ids) if all(isinstance(key, int | np.integer) for key in ids) else np.asarray(ids, dtype=object)
        )
    if array.dtype.kind not in "iu":
        return _strings(array)
    small = array.dtype != np.uint64 or not len(array) or int(array.max()) <= np.iinfo(np.int64).max
    return array.astype(np.int64 if small else np.uint64, copy=False)


def _integers(ids: Sequence[int]) -> "np.ndarray[Any, Any]":
    import numpy as np

    least, most = min(ids), max(ids)
    if most <= np.iinfo(np.int64).max and least >= np.iinfo(np.int64).min:
        return np.array(ids, dtype=np.int64)
    # NumPy would by itself convert a list with integers of 64 unsigned bits to float64.
    if least >= 0 and most <= np.iinfo(np.uint64).max:
        return np.array(ids, dtype=np.uint64)
    if least >= np.iinfo(np.int64).min and most <= np.iinfo(np.uint64).max:
        raise _no_common_type()
    raise PosteriorFileError(
        f"id {most if most > np.iinfo(np.uint64).max else least} does not fit into 64 bits. Write such ids as strings."
    )


def _strings(ids: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":

    if ids.dtype.kind == "U":
        return ids
    wrong = next((key for key in ids if not isinstance(key, str)), None)
    if wrong is not None:
        raise PosteriorFileError(f"id {printable(wrong)!r}: ids must be all integers or all strings.")
    # NumPy fills strings with NUL, and takes those at the end away when it reads them.
    wrong = next((key for key in ids if key.endswith("\0")), None)
    if wrong is not None:
        raise PosteriorFileError(f"id {printable(wrong)!r} ends in the character NUL, which is lost. Rename it.")
    return ids.astype(str)


def concatenated(arrays: Sequence["np.ndarray[Any, Any]"]) -> "np.ndarray[Any, Any]":
    """Arrays one after the other, of the type that holds all of their values."""
    import numpy as np

    dtype = common_dtype(array.dtype for array in arrays)
    return np.concatenate([_cast(array, dtype) for array in arrays])


def common_dtype(dtypes: Iterable["np.dtype[Any]"]) -> "np.dtype[Any]":
    """The type that holds every value of these.

    Raises:
        PosteriorFileError: if strings stand beside numbers.
    """
    import numpy as np

    found = set(dtypes)
    if {dtype.kind for dtype in found} == {"i", "u"}:
        return np.dtype(np.uint64)
    if len({dtype.kind == "U" for dtype in found}) > 1:
        raise PosteriorFileError("some ids are integers and some are strings; all must be of one kind.")
    return np.result_type(*found)


def _cast(array: "np.ndarray[Any, Any]", dtype: "np.dtype[Any]") -> "np.ndarray[Any, Any]":
    """An array of another type, with the same values."""
    if dtype.kind == "u" and array.dtype.kind == "i" and len(array) and array.min() < 0:
        raise _no_common_type()
    return array.astype(dtype, copy=False)


def _no_common_type() -> PosteriorFileError:
    return PosteriorFileError("an id is negative and another is 2⁶³ or more: no type of integers holds both.")
