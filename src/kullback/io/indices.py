"""The index of dataframes of pandas and dask, whose labels identify rows as a column of ids does."""

import itertools
from collections.abc import Mapping
from typing import Any

from kullback.errors import PosteriorFileError
from kullback.io.columns import role
from kullback.io.frames import computed, is_of
from kullback.io.text import printable

# A name that makes a column of the index, and ids of that column.
_NAME = "index"


def with_indices(objects: Mapping[str, Any]) -> list[Any]:
    """Objects by what errors call them; of dataframes whose index identifies rows, that index has a name that says so.

    The index of pandas or dask identifies rows unless it is the default one, the numbers of rows, or a column of the
    frame identifies them. Beside a frame with such an index the default index of another one is of labels, too: one of
    both may have been shuffled.

    Raises:
        PosteriorFileError: if an index that identifies rows has several levels, or has a label twice.
    """
    indexed = {name: x for name, x in objects.items() if _is_known_by_index(x)}
    labelled = [name for name, frame in indexed.items() if not _is_default(frame)]
    for name in labelled:
        _check(indexed[name].index, name)
    named = indexed if labelled else {}
    return [x.rename_axis(index=_NAME) if name in named else x for name, x in objects.items()]


def _is_known_by_index(x: Any) -> bool:
    """Whether it is a dataframe with an index, and without a column of ids."""
    from narwhals.dependencies import is_pandas_like_dataframe

    if not is_pandas_like_dataframe(x) and not _is_dask(x):
        return False
    names = [*x.columns, *_levels(x.index)]
    return not any((role(str(name)) or ("",))[0] == "id" for name in names)


def _is_dask(x: Any) -> bool:
    return is_of(x, "dask.dataframe", "DataFrame")


def _levels(index: Any) -> list[Any]:
    """The names of the levels of an index; those of dask have one."""
    return list(getattr(index, "names", None) or [index.name])


def _is_default(frame: Any) -> bool:
    """Whether the index is the numbers of rows, 0, 1, …; of dask, also those of each partition by itself."""
    if not _is_dask(frame):
        return _first_of_range(frame.index) == 0
    if frame.index.dtype.kind not in "iu":
        return False
    from dask.delayed import delayed

    parts = computed(delayed(list)([delayed(_described)(part) for part in frame.index.to_delayed()]))
    firsts, rows = zip(*[part for part in parts if part[1]] or [(0, 0)], strict=True)
    return set(firsts) == {0} or firsts == tuple(itertools.accumulate(rows[:-1], initial=0))


def _first_of_range(index: Any) -> int | None:
    """The first number of an index that counts upwards by one; None for another one."""
    return int(index.start) if type(index).__name__ == "RangeIndex" and (index.step == 1 or not len(index)) else None


def _described(index: Any) -> tuple[int | None, int]:
    """The first number of a partition's index, if it counts, and how many rows there are."""
    return _first_of_range(index), len(index)


def _check(index: Any, name: str) -> None:
    """Raise an error unless an index identifies rows."""
    if len(_levels(index)) > 1:
        raise PosteriorFileError(
            f"{name}: the index has {len(_levels(index))} levels, none of which is called id. Make one column 'id' of "
            "them, or reset_index(drop=True) to join rows by order."
        )
    if is_of(index, "dask.dataframe", "Index"):
        index = computed(index)
    if not index.is_unique:
        twice = index[index.duplicated()][0]
        raise PosteriorFileError(
            f"{name}: the index identifies rows, and has {printable(twice)!r} twice. Name a column of unique ids 'id', "
            "or reset_index(drop=True) to join rows by order."
        )
