"""Names along the axes of tables and labelled arrays, which are dropped: two that differ only in order are refused."""

from collections.abc import Iterable
from typing import Any

from kullback.errors import ShapeError

_SHOWN = 6  # labels in a message


def check_order(x: Any, y: Any, name_x: str, name_y: str, axes: Iterable[tuple[int, int]] = ((-1, -1),)) -> None:
    """Check that where two arrays have the same labels along paired axes, they have them in the same order.

    Tables of pandas and polars and arrays of xarray have labels. Others, and other labels, are taken as they lie.

    Raises:
        ShapeError: if the order differs: numbers of different coordinates would meet.
    """
    if not (_has_labels(x) and _has_labels(y)):
        return
    dims_x, dims_y = getattr(x, "dims", None), getattr(y, "dims", None)
    if dims_x and dims_y:
        _refuse_other_order(dims_x, dims_y, name_x, name_y, "dimensions")
    for axis_x, axis_y in axes:
        _refuse_other_order(_labels(x, axis_x), _labels(y, axis_y), name_x, name_y, "labels")


def _has_labels(x: Any) -> bool:
    return type(x).__module__.split(".")[0] in ("pandas", "polars", "xarray")


def _labels(x: Any, axis: int) -> Any:
    """The labels along an axis; None if there are none, or no such axis."""
    if not -len(x.shape) <= axis < 0:
        return None
    if hasattr(x, "axes"):  # of pandas
        return x.axes[axis]
    if hasattr(x, "dims"):  # of xarray
        return x.indexes.get(x.dims[axis])
    return x.columns if hasattr(x, "columns") and axis == -1 else None


def _refuse_other_order(x: Any, y: Any, name_x: str, name_y: str, what: str) -> None:
    if x is None or y is None or len(x) != len(y) or x is y:
        return
    x, y = list(x), list(y)
    if x != y and set(x) == set(y):
        shown = " and ".join(
            ", ".join(map(repr, each[:_SHOWN])) + (", …" if len(x) > _SHOWN else "") for each in (x, y)
        )
        raise ShapeError(
            f"{name_x} and {name_y} have the same {what} in another order, {shown}: labels are not looked at, so that "
            f"numbers of different {what} would meet. Bring {name_y} into the order of {name_x}."
        )
