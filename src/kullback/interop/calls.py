"""The call to write for arrays in the place of Gaussians: constructors, by the shapes and signs of what was given."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution

from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.foreign_arrays import is_array
from kullback.numerics.guard import is_concrete

BUILD = "Gaussian.from_std(mean, std), from_variance, from_logvar, from_log_std or from_covariance"

Pair = tuple[Any, Any]

# What the name of a mean contains, and those of scales by their constructors: the first that fits decides.
_MEAN = re.compile(r"mu|mean|loc")
_SCALES = {
    "logvar": re.compile(r"log[_-]?(var|cov)"),
    "log_std": re.compile(r"log[_-]?(std|sigma|scale)"),
    "variance": re.compile(r"var|sigma[_-]?(2|sq)"),
    "covariance": re.compile(r"cov"),
    "std": re.compile(r"std|sigma|scale"),
}


def call_of_arrays(call: str, arguments: Sequence[Any]) -> str | None:
    """What to write for arguments that are arrays, or pairs of them; None if some are neither.

    ``call`` has braces in the place of the two Gaussians, as ``"kl_divergence({})"``.
    """
    sides = _sides(arguments)
    if sides is None or len(sides) > 2 or not any(sides):
        return None
    numbers = (1, 2) if len(sides) > 1 else (0,)
    written = [
        "pq"[k] if side is None else constructor(*side, number=number)
        for k, (side, number) in enumerate(zip(sides, numbers, strict=True))
    ]
    if len(written) == 1:
        written.append(standard(arguments[0]))
    return call.format(", ".join(written))


def _sides(arguments: Sequence[Any]) -> list[Pair | None] | None:
    """The mean and the scale of each side, None where a side is a Gaussian already; None if there is anything else."""
    left, sides = list(arguments), list[Pair | None]()
    while left:
        x = left.pop(0)
        if isinstance(x, Gaussian | Distribution):
            sides.append(None)
        elif is_pair(x):
            sides.append((x[0], x[1]))
        elif left and shape_of(x) is not None and shape_of(left[0]) is not None:
            sides.append((x, left.pop(0)))
        elif pair_of(x) is not None:
            sides.append(pair_of(x))
        else:
            return None
    return sides


def shapes_of(arguments: Sequence[Any]) -> str:
    """The arguments in a message: their kinds, and the shapes of arrays."""
    return ", ".join(kind_of(x) for x in arguments)


def kind_of(x: Any) -> str:
    """A type, and the shapes in it."""
    shape = shape_of(x)
    if isinstance(x, list | tuple):
        parts = ", ".join(kind_of(each) for each in x[:4]) if shape is None else f"of shape {shape}"
        return f"{type(x).__name__} ({parts})" if shape is None else f"{type(x).__name__} {parts}"
    if shape:
        return f"{type(x).__name__} of shape {shape}"
    return "Gaussian" if isinstance(x, Gaussian) else type(x).__name__


def shape_of(x: Any) -> tuple[int, ...] | None:
    """The shape of an array, a number or lists of numbers; None for anything else."""
    if is_array(x):
        return tuple(x.shape) if hasattr(x, "shape") else np.shape(x)
    if isinstance(x, int | float):
        return ()
    if (
        isinstance(x, list | tuple)
        and x
        and all(shape_of(each) is not None and not isinstance(each, Tensor) for each in x)
    ):
        try:
            return np.shape(x)
        except (TypeError, ValueError):  # of arrays without values, and a ragged one
            return None
    return None


def pair_of(x: Any) -> Pair | None:
    """The mean and the scale of a pair of arrays or lists."""
    if not isinstance(x, list | tuple) or len(x) != 2 or any(shape_of(each) in (None, ()) for each in x):
        return None
    return x[0], x[1]


def is_pair(x: Any) -> bool:
    """Whether it is a mean and a scale for certain, and not rows of one array."""
    if pair_of(x) is None:
        return False
    return shape_of(x) is None or (isinstance(x, tuple) and all(map(is_array, x)))


def constructor(mean: Any, scale: Any, *, number: int) -> str:
    """The constructor for a mean and a scale, by their shapes and the signs of the scale."""
    shape_of_mean, shape = shape_of(mean), shape_of(scale)
    assert shape_of_mean is not None
    assert shape is not None
    kind, what = "std", "std"
    if (
        len(shape) >= 2
        and shape[-1] == shape[-2]
        and shape_of_mean[-1:] == shape[-1:]
        and len(shape) > len(shape_of_mean)
    ):
        kind, what = "covariance", "cov"
    elif _has_negative(scale):
        kind, what = "logvar", "logvar"
    suffix = f"_{number}" if number else ""
    return f"Gaussian.from_{kind}(mu{suffix}, {what}{suffix})"


def constructor_by_names(x: Mapping[Any, Any], name: str) -> str | None:
    """The constructor for a mapping that names a mean and a scale, by these names; None for another one."""
    keys = [key for key in x if isinstance(key, str)]
    kinds = {key: kind for key in keys if (kind := _kind_by_name(key)) is not None}
    mean = next((key for key in keys if key not in kinds and _MEAN.search(key.lower())), None)
    if mean is None or not kinds:
        return None
    scale, kind = next(iter(kinds.items()))
    return f"Gaussian.from_{kind}({name}[{mean!r}], {name}[{scale!r}])"


def _kind_by_name(key: str) -> str | None:
    return next((kind for kind, names in _SCALES.items() if names.search(key.lower())), None)


def _has_negative(x: Any) -> bool:
    """Whether a number is negative, as far as there are numbers that may be looked at."""
    if isinstance(x, np.ndarray | list | tuple):
        array = np.asarray(x)
        return array.dtype.kind in "fi" and bool((array < 0).any())
    if not isinstance(x, Tensor) or x.is_complex() or x.layout is not torch.strided:
        return False
    return is_concrete(x) and x.device.type == "cpu" and bool((x.detach() < 0).any())


def standard(beside: Any) -> str:
    """The standard normal of the event of what it stands beside."""
    event = getattr(beside, "event_shape", None)
    shape = shape_of(beside) if event is None else tuple(event)
    if event is None and shape is not None:
        shape = shape[-1:]
    if shape is None:
        return "Gaussian.standard(d)"
    return f"Gaussian.standard({shape[0] if len(shape) == 1 else shape})"
