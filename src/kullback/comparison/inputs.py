"""What a comparison is given, as models: labels of rows are kept, and every value is checked row by row."""

import contextlib
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np

from kullback.comparison.objects import check_scale
from kullback.comparison.rows import rows_of
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.checked import checked
from kullback.io.frames import is_dask_array
from kullback.io.indices import with_indices
from kullback.io.model import Model
from kullback.numerics.foreign_arrays import is_array
from kullback.numerics.labels import check_order


def read_models(given: Mapping[str, Any], scale: Parameterization | None, *, skip: bool) -> list[Model]:
    """Each of what is given, by what errors call it, as :func:`rows_of` reads it.

    Args:
        given: the models by name.
        scale: as for :func:`rows_of`.
        skip: whether rows with values that are not possible are left out, instead of an error.

    Raises:
        ShapeError: if rows or dimensions of two means are labelled, and their labels differ in order.
        Exception: what :func:`rows_of` raises.
    """
    check_scale(scale)
    pairs = {name: x for name, x in given.items() if _is_pair(x)}
    for (name, x), (other, y) in itertools.combinations(pairs.items(), 2):
        check_order(x[0], y[0], name, other, [(axis, axis) for axis in range(-np.ndim(x[0]), 0)])
    models = zip(given, with_indices(given), strict=True)
    return [checked(rows_of(_unchecked(x, scale) if skip else x, name, scale)) for name, x in models]


def _is_pair(x: Any) -> bool:
    """Whether it is a mean and a scale, as two arrays."""
    return isinstance(x, (tuple, list)) and len(x) == 2 and all(map(is_array, x))


def _unchecked(x: Any, scale: Parameterization | None) -> Any:
    """Two arrays as a Gaussian whose values are not looked at yet; anything else as it is."""
    if scale is None or not _is_pair(x) or np.ndim(x[0]) < 2 or all(map(is_dask_array, x)):
        return x
    with contextlib.suppress(TypeError, ValueError):  # which is said of the arrays when they are read
        return getattr(Gaussian, f"from_{scale}")(*x, event_dims=np.ndim(x[0]) - 1, validate=False)
    return x
