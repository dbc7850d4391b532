"""Columns of dataframes of any library that narwhals knows, of dask dataframes, and of dask arrays."""

import functools
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.arrow import arrow_array, one_of_each
from kullback.io.chunks import Chunked
from kullback.io.columns import SCALE_KINDS, image_column, role
from kullback.io.formats.registry import Columns, OfFile, open_columns
from kullback.io.slices import InMemory
from kullback.io.stored import Stored
from kullback.io.temporary import Folder
from kullback.io.text import printable
from kullback.numerics.classes import class_names
from kullback.numerics.foreign_arrays import read_array

if TYPE_CHECKING:
    from kullback.io.stored import Column


def frame_columns(frame: Any) -> Columns | None:
    """The columns of a dataframe by name, or None for another object.

    A lazy frame is computed once, into a temporary Parquet file, because two computations may give rows in two orders.
    The index of a pandas or dask dataframe is a column if it has a name.

    Args:
        frame: a dataframe of pandas, Polars, PyArrow or another library that narwhals knows, or of dask; or a mapping
            of names to arrays, one of which is named as a mean, such as what ``np.load`` returns.

    Raises:
        PosteriorFileError: if two columns have the same name.
        TypeError: if a mapping holds what is no array, or a column with an index.
    """
    import narwhals as nw

    if isinstance(frame, Mapping):
        return _of_mapping(frame)
    if is_of(frame, "dask.dataframe", "DataFrame"):
        return _of_dask(frame)
    framed = nw.from_native(frame, pass_through=True)
    if isinstance(framed, nw.LazyFrame):
        return _of_lazy(framed)
    if not isinstance(framed, nw.DataFrame):
        return None
    if framed.implementation.is_pandas_like() and any(name is not None for name in frame.index.names):
        framed = nw.from_native(frame.reset_index())
    return {name: FrameColumn(name, framed[name]) for name in one_of_each(framed.columns)}


def _of_mapping(mapping: Mapping[Any, Any]) -> Columns | None:
    """The columns of a mapping that holds a mean and a scale; None for another one."""
    roles = {name: of[0] for name in mapping if isinstance(name, str) and (of := role(name))}
    held = set(roles.values())
    if "moments" not in held and not ("mean" in held and held & {"sigma", *SCALE_KINDS}):
        return None
    images = image_column(name for name in mapping if isinstance(name, str))
    return {name: _of_array(mapping[name], name) for name in [*roles, *([] if images is None else [images])]}


def _of_array(x: Any, name: str) -> Stored:
    """An array as a column."""
    import narwhals as nw
    from torch import Tensor

    if class_names(x, "pandas") | class_names(x, "xarray"):
        raise TypeError(
            f"{name!r} is a {type(x).__name__}, and a mapping of arrays has no place for its index. Give a dataframe, "
            "or the array without it: to_numpy()."
        )
    if isinstance(x, Tensor):
        return InMemory(x.detach())
    if isinstance(series := nw.from_native(x, pass_through=True, allow_series=True), nw.Series):
        return FrameColumn(name, series)
    dask = array_column(x)
    return InMemory(read_array(x, name)) if dask is None else dask


def array_column(array: Any) -> Stored | None:
    """A dask array as a column of which a chunk is in memory; None for another object."""
    if not is_dask_array(array):
        return None
    if any(math.isnan(size) for size in array.shape):
        array = array.copy().compute_chunk_sizes()
    return DaskArray(array)


def is_dask_array(x: Any) -> bool:
    """Whether it is an array of dask."""
    return is_of(x, "dask.array", "Array")


def is_of(x: Any, module: str, name: str) -> bool:
    """Whether ``x`` is of this class, which is not imported for it."""
    return module in sys.modules and isinstance(x, getattr(sys.modules[module], name))


class FrameColumn(Stored):
    """A column of a dataframe in memory; a batch of it is a view where its library allows that."""

    def __init__(self, name: str, series: Any) -> None:
        self.name, self.series = name, series

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        rows = len(self.series)
        return (rows, *self._rows(0, 1, None).shape[1:]) if rows else (0,)

    @property
    def breaks(self) -> Sequence[int]:
        """All rows."""
        return range(max(1, len(self)))

    def __len__(self) -> int:
        return len(self.series)

    def batches(self, start: int, stop: int, size: int) -> "Iterator[Column]":
        """The rows from ``start`` to ``stop`` in batches of ``size``."""
        for first in range(start, stop, size):
            yield self._rows(first, min(first + size, stop), self.shape[1:])

    def _rows(self, start: int, stop: int, width: tuple[int, ...] | None) -> Any:
        return series_rows(self.series[start:stop], self.name, start, width)

    def __call__(self) -> "Column":
        """The whole column."""
        rows: Column = self._rows(0, len(self), None)
        return rows


def series_rows(series: Any, name: str, start: int, width: tuple[int, ...] | None) -> Any:
    """Rows of a series of narwhals as an array, of which the first is row ``start`` of a column."""
    import numpy as np
    import pyarrow as pa

    native = series.to_native()
    if isinstance(getattr(native, "dtype", None), np.dtype):
        values = native.to_numpy()
        if values.dtype.kind != "O":
            return values
        # Arrow has no arrays of several dimensions in the cells of a column.
        if len(values) and all(isinstance(x, np.ndarray) and x.ndim > 1 for x in values):
            return np.stack(list(values))
        if any(isinstance(x, np.ndarray | list | tuple) for x in values):
            # narwhals would make nulls of the NaN in them, and these are not the same: a list may hold both.
            cells = [None if isinstance(x, float) else x for x in values]
            return arrow_array(pa.array(cells, from_pandas=False), name, start=start, width=width)
    return arrow_array(series.to_arrow(), name, start=start, width=width)


class DaskArray(Chunked):
    """A dask array, computed chunk after chunk."""

    def __init__(self, array: Any) -> None:
        self.array = array

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, and the shape of one."""
        return tuple(map(int, self.array.shape))

    @functools.cached_property
    def starts(self) -> Sequence[int]:
        """The first row of each chunk, and the number of rows."""
        return tuple(map(int, itertools.accumulate(self.array.chunks[0] if self.array.ndim else (), initial=0)))

    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from a chunk on."""
        for start, stop in itertools.pairwise(self.starts[chunk:]):
            if stop > start:
                yield computed(self.array[start:stop])

    def __call__(self) -> "Column":
        """The whole array."""
        whole: Column = computed(self.array)
        return whole


class DaskColumn(Chunked):
    """A column of a dask dataframe, computed partition after partition."""

    def __init__(self, name: str, series: Any, starts: tuple[int, ...]) -> None:
        self.name, self.series, self._starts = name, series, starts

    @property
    def starts(self) -> Sequence[int]:
        """The first row of each partition, and the number of rows."""
        return self._starts

    def pieces(self, chunk: int, size: int) -> "Iterator[Column]":
        """The rows from a partition on."""
        import narwhals as nw

        width = None
        for number in range(chunk, len(self._starts) - 1):
            series = nw.from_native(computed(self.series.partitions[number]), series_only=True)
            if len(series) != self._starts[number + 1] - self._starts[number]:
                raise ValueError(f"partition {number} has another number of rows than when it was counted")
            if len(series):
                _check_is_no_text_of_arrays(series, self.name)
                rows = series_rows(series, self.name, self._starts[number], width)
                width = rows.shape[1:]
                yield rows


def _check_is_no_text_of_arrays(series: Any, name: str) -> None:
    """Raise an error if dask has made text of the arrays or lists in a column of numbers, as it does by default."""
    import narwhals as nw

    kind, _ = role(name) or ("", "")
    if series.dtype == nw.String and kind not in ("", "id") and str(series[0]).startswith(("[", "(")):
        raise PosteriorFileError(
            f"column {printable(name)!r}: dask has made text of its arrays. Before from_pandas, call "
            "dask.config.set({'dataframe.convert-string': False}), or give each coordinate a column."
        )


def _of_dask(frame: Any) -> Columns:
    if frame.index.name is not None:
        frame = frame.reset_index()
    names = one_of_each(map(str, frame.columns))
    sizes = computed(frame.map_partitions(len, meta=("rows", int)))
    starts = tuple(itertools.accumulate(map(int, sizes), initial=0))
    return {name: DaskColumn(name, frame[of], starts) for name, of in zip(names, frame.columns, strict=True)}


def computed(x: Any) -> Any:
    """What a dask collection is, computed by this thread if it is that of a worker, which others may wait for."""
    distributed = sys.modules.get("distributed")
    if distributed is not None:
        try:
            distributed.get_worker()
        except ValueError:
            pass
        else:
            return x.compute(scheduler="synchronous")
    return x.compute()


class _Computed(OfFile):
    """A column of a temporary file."""

    def __init__(self, column: OfFile, folder: Folder) -> None:
        super().__init__(column.path, column.column)
        self.folder = folder

    def beside(self, others: Sequence[Stored]) -> "OfFile | None":
        """These columns as one, of the same folder."""
        whole = super().beside(others)
        return None if whole is None else _Computed(whole, self.folder)


def _of_lazy(frame: Any) -> Columns:
    folder = Folder("kullback-")
    path = folder.path / "frame.parquet"
    frame.sink_parquet(path)
    return {
        name: _Computed(column, folder) for name, column in open_columns(path).items() if isinstance(column, OfFile)
    }
