"""Names along the axes of tables and labelled arrays, which are dropped: two that differ only in order are refused."""

from collections.abc import Iterable, Sequence
from typing import Any

from kullback.errors import ShapeError
from kullback.numerics.classes import PLAIN, class_names

_SHOWN = 6  # labels in a message


def check_order(x: Any, y: Any, name_x: str, name_y: str, axes: Iterable[tuple[int, int]] = ((-1, -1),)) -> None:
    """Check that where two arrays have labels in common along paired axes, they have all of them, in the same order.

    Tables of pandas, polars and pyarrow and arrays of xarray have labels. Others, and other labels, are taken as they
    lie.

    Raises:
        ShapeError: if the order differs, or some labels but not all are shared: numbers of different coordinates would
            meet.
    """
    if isinstance(x, PLAIN) or isinstance(y, PLAIN):
        return
    _refuse_other_order(_dims(x), _dims(y), name_x, name_y, "dimensions")
    labels_x, labels_y = _labels(x), _labels(y)
    for axis_x, axis_y in axes:
        if -len(labels_x) <= axis_x < 0 and -len(labels_y) <= axis_y < 0:
            _refuse_other_order(labels_x[axis_x], labels_y[axis_y], name_x, name_y, "labels")
            _refuse_other_labels(labels_x[axis_x], labels_y[axis_y], name_x, name_y)


def _dims(x: Any) -> Any:
    """The names of the axes; None if they have none."""
    return x.dims if class_names(x, "xarray") else None


def _labels(x: Any) -> Sequence[Any]:
    """The labels along each axis, None where there are none; nothing of what has no labels."""
    if class_names(x, "pandas") & {"DataFrame", "Series"}:
        return list(x.axes)
    if "DataFrame" in class_names(x, "polars"):
        return None, x.columns
    if class_names(x, "pyarrow") & {"Table", "RecordBatch"}:
        return None, x.column_names
    return [x.indexes.get(dim) for dim in x.dims] if "DataArray" in class_names(x, "xarray") else ()


def _refuse_other_order(x: Any, y: Any, name_x: str, name_y: str, what: str) -> None:
    if x is None or y is None or len(x) != len(y) or x is y:
        return
    x, y = list(x), list(y)
    if x != y and set(x) == set(y):
        raise ShapeError(
            f"{name_x} and {name_y} have the same {what} in another order, {_shown(x)} and {_shown(y)}: labels are not "
            f"looked at, so that numbers of different {what} would meet. Bring {name_y} into the order of {name_x}."
        )


def _refuse_other_labels(x: Any, y: Any, name_x: str, name_y: str) -> None:
    if x is None or y is None or len(x) != len(y) or x is y:
        return
    x, y = list(x), list(y)
    if set(x) != set(y) and not set(x).isdisjoint(y):
        raise ShapeError(
            f"{name_x} and {name_y} have some labels in common but not all, {_shown(x)} and {_shown(y)}: labels "
            "are not looked at, so that numbers of different labels would meet. Give both the same labels in the same "
            "order, or pass arrays."
        )


def _shown(labels: list[Any]) -> str:
    return ", ".join(map(repr, labels[:_SHOWN])) + (", …" if len(labels) > _SHOWN else "")
