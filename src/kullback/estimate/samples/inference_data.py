"""Draws by the name of a variable: ArviZ's InferenceData, xarray's trees, datasets and arrays of draws."""

from typing import Any

import numpy as np

from kullback.errors import ShapeError
from kullback.numerics.classes import class_names

# What the leading dimensions of draws are called: in ArviZ, and after ``arviz.extract``.
_LEADING = (("chain", "draw"), ("sample",))


def holds_draws(x: Any) -> bool:
    """Whether ``x`` is an object of ArviZ, or one of xarray that holds draws."""
    if class_names(x, "arviz"):
        return True
    return bool(class_names(x, "xarray")) and (_is_group(x) or _leading(x.dims) is not None)


def as_arrays(p: Any, q: Any = None) -> tuple[Any, Any, list[str]]:
    """Both arguments, with arrays ``(chains, draws, d)``, or ``(draws, d)``, in the place of named draws, and warnings.

    Where both have names, the variables are those of both, each with all its elements.

    Raises:
        ValueError: if there is no posterior or no variable, or no variable that both have.
        ShapeError: for a variable that is not one of draws, or has another size in p than in q.
    """
    named = [_variables(x, name) if holds_draws(x) else None for x, name in ((p, "p"), (q, "q"))]
    of_p, of_q = named
    warnings = []
    if of_p is not None and of_q is not None:
        shared = [v for v in of_p if v in of_q]
        if not shared:
            raise ValueError(f"p has the variables {list(of_p)}, q has {list(of_q)}: none is in both.")
        for v in shared:
            if of_p[v].shape[2] != of_q[v].shape[2]:
                raise ShapeError(f"variable {v!r} has {of_p[v].shape[2]} numbers in p and {of_q[v].shape[2]} in q.")
        alone = [v for v in (*of_p, *of_q) if v not in shared]
        if alone:
            warnings.append(f"variables {alone} are in one of p and q only, and are left out")
        of_p, of_q = ({v: x[v] for v in shared} for x in (of_p, of_q))
    p, q = (x if of is None else _side_by_side(of) for x, of in ((p, of_p), (q, of_q)))
    return p, q, warnings


def _side_by_side(variables: dict[str, Any]) -> Any:
    draws = np.concatenate(list(variables.values()), 2)
    return draws[0] if len(draws) == 1 else draws


def _is_group(x: Any) -> bool:
    return hasattr(x, "data_vars") or hasattr(x, "posterior")


def _leading(dims: Any) -> tuple[str, ...] | None:
    """The names of the dimensions that number draws, if there are such."""
    return next((leading for leading in _LEADING if set(leading) <= set(dims)), None)


def _variables(x: Any, name: str) -> dict[str, Any]:
    """Arrays ``(chains, draws, k)`` by the name of the variable."""
    group = getattr(x, "posterior", x) if not hasattr(x, "dims") or hasattr(x, "children") else x
    variables = (
        dict(getattr(group, "data_vars", {})) if _is_group(group) else {str(getattr(group, "name", None)): group}
    )
    if not variables or not all(hasattr(v, "dims") for v in variables.values()):
        raise ValueError(f"{name} has no posterior with variables. Pass the group that holds the draws, as data.prior.")
    return {variable: _draws(array, f"{name}, variable {variable!r}") for variable, array in variables.items()}


def _draws(array: Any, name: str) -> Any:
    leading = _leading(array.dims)
    if leading is None:
        raise ShapeError(f"{name} has the dimensions {tuple(array.dims)}, and no chain and draw: leave it out.")
    values = np.asarray(array.transpose(*leading, ...).values)
    shape = values.shape if len(leading) == 2 else (1, *values.shape)
    return values.reshape(*shape[:2], -1)
