"""Draws by the name of a variable: ArviZ's InferenceData, xarray's trees, datasets and arrays of draws."""

from typing import Any, NamedTuple

import numpy as np
import torch

from kullback.errors import ShapeError
from kullback.numerics.classes import class_names
from kullback.numerics.foreign_arrays import columns_by_name
from kullback.numerics.labels import check_order

# What the leading dimensions of draws are called: in ArviZ, and after ``arviz.extract``.
_LEADING = (("chain", "draw"), ("sample",))


def holds_draws(x: Any) -> bool:
    """Whether ``x`` is an object of ArviZ, or one of xarray that holds draws."""
    if class_names(x, "arviz"):
        return True
    return bool(class_names(x, "xarray")) and (_is_group(x) or _leading(x.dims) is not None)


class Array(NamedTuple):
    """An argument, with an array in the place of named draws."""

    x: Any
    """``(chains, draws, d)`` or ``(draws, d)`` for named draws; others as they were."""
    event: torch.Size | None
    """The shape of a draw, if the draws were named."""


class _Variable(NamedTuple):
    draws: Any
    """``(chains, draws, k)``"""
    one: Any = None
    """A single draw with its dimensions and labels, if it has some."""


def as_arrays(p: Any, q: Any = None) -> tuple[Array, Array, list[str]]:
    """Both arguments, with arrays in the place of named draws, and warnings.

    Where both have names, the variables are those of both, each with all its elements; the columns of a table are
    variables beside named draws. An array of xarray without a name is compared by position.

    Raises:
        ValueError: if there is no posterior or no variable, or no variable that both have.
        ShapeError: for a variable that is not one of draws, or has another size in p than in q, or the same dimensions
            or labels in another order.
    """
    of_p, of_q = (_variables(x, name) if holds_draws(x) else None for x, name in ((p, "p"), (q, "q")))
    if of_p is None and of_q is not None:
        of_p = _columns_as_variables(p, "p", of_q, "q")
    elif of_q is None and of_p is not None:
        of_q = _columns_as_variables(q, "q", of_p, "p")
    warnings: list[str] = []
    if of_p is not None and of_q is not None and not (None in of_p or None in of_q):
        of_p, of_q, warnings = _shared(of_p, of_q)
    elif of_p is not None or of_q is not None:
        one_p, one_q = (x if of is None else _only(of) for x, of in ((p, of_p), (q, of_q)))
        _check_labels(one_p, one_q, "p", "q")
    return _side_by_side(p, of_p), _side_by_side(q, of_q), warnings


def _shared(
    of_p: dict[Any, _Variable], of_q: dict[Any, _Variable]
) -> tuple[dict[Any, _Variable], dict[Any, _Variable], list[str]]:
    """The variables that both have, in one order, and warnings of the others."""
    shared = [v for v in of_p if v in of_q]
    if not shared:
        raise ValueError(f"p has the variables {list(of_p)}, q has {list(of_q)}: none is in both.")
    for v in shared:
        size_p, size_q = (of[v].draws.shape[2] for of in (of_p, of_q))
        if size_p != size_q:
            raise ShapeError(f"variable {v!r} has {size_p} numbers in p and {size_q} in q.")
        _check_labels(of_p[v].one, of_q[v].one, f"variable {v!r} of p", "that of q")
    alone = [v for v in (*of_p, *of_q) if v not in shared]
    said = [f"variables {alone} are in one of p and q only, and are left out"] if alone else []
    return {v: of_p[v] for v in shared}, {v: of_q[v] for v in shared}, said


def _check_labels(x: Any, y: Any, name_x: str, name_y: str) -> None:
    axes = max(getattr(v, "ndim", 0) for v in (x, y))
    check_order(x, y, name_x, name_y, [(-i, -i) for i in range(1, axes + 1)])


def _only(variables: dict[Any, _Variable]) -> Any:
    """A draw of the only variable; of several, labels do not say which is which."""
    return next(iter(variables.values())).one if len(variables) == 1 else None


def _columns_as_variables(x: Any, name: str, others: dict[Any, _Variable], name_of_others: str) -> Any:
    """The columns of a table that stands beside named draws; None for anything else, which has no names.

    Raises:
        ValueError: if a table with names has none of several variables: positions would not say which is which.
    """
    columns = columns_by_name(x, name)
    if columns is None or None in others:
        return None
    if any(column in others for column in columns):
        # Others may hold no numbers.
        return {v: _Variable(read()[None, :, None] if v in others else None) for v, read in columns.items()}
    if len(others) == 1 or not all(isinstance(column, str) for column in columns):
        return None
    raise ValueError(
        f"{name} has the columns {list(columns)}, {name_of_others} has the variables {list(others)}: none is in both. "
        f"To compare by position, pass {name}.to_numpy()."
    )


def _side_by_side(x: Any, variables: dict[Any, _Variable] | None) -> Array:
    if variables is None:
        return Array(x, None)
    draws = np.concatenate([v.draws for v in variables.values()], 2)
    return Array(draws[0] if len(draws) == 1 else draws, torch.Size(draws.shape[2:]))


def _is_group(x: Any) -> bool:
    return hasattr(x, "data_vars") or hasattr(x, "posterior")


def _leading(dims: Any) -> tuple[str, ...] | None:
    """The names of the dimensions that number draws, if there are such."""
    return next((leading for leading in _LEADING if set(leading) <= set(dims)), None)


def _variables(x: Any, name: str) -> dict[Any, _Variable]:
    """Draws by the name of the variable; None is the name of an array without one."""
    group = getattr(x, "posterior", x) if not hasattr(x, "dims") or hasattr(x, "children") else x
    variables = dict(getattr(group, "data_vars", {})) if _is_group(group) else {getattr(group, "name", None): group}
    if not variables or not all(hasattr(v, "dims") for v in variables.values()):
        raise ValueError(f"{name} has no posterior with variables. Pass the group that holds the draws, as data.prior.")
    return {variable: _draws(array, f"{name}, variable {variable!r}") for variable, array in variables.items()}


def _draws(array: Any, name: str) -> _Variable:
    leading = _leading(array.dims)
    if leading is None:
        raise ShapeError(f"{name} has the dimensions {tuple(array.dims)}, and no chain and draw: leave it out.")
    values = np.asarray(array.transpose(*leading, ...).values)
    shape = values.shape if len(leading) == 2 else (1, *values.shape)
    one = array.isel(dict.fromkeys(leading, 0)) if values.size else None
    return _Variable(values.reshape(*shape[:2], -1), one)
