"""Lists of Gaussians, or of what stands for them: a batch."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """The Gaussians, stacked; None for a list that begins with anything else, such as numbers.

    Raises:
        ShapeError: if their events differ.
        TypeError: if one of them is no Gaussian.
    """
    if not isinstance(x, list | tuple) or not x or isinstance(x[0], Tensor | list | tuple):
        return None
    found: list[Gaussian] = []
    for i, each in enumerate(x):
        converted = convert(each, f"{name}[{i}]")
        if not isinstance(converted, Gaussian):
            if not i:
                return None
            raise TypeError(
                f"{name}[0] is a Gaussian, but {name}[{i}] is none: it is a {type(each).__name__}. A list of Gaussians "
                "is a batch of them."
            )
        if found and converted.event_shape != found[0].event_shape:
            raise ShapeError(
                f"{name}[0] has event shape {tuple(found[0].event_shape)}, {name}[{i}] has "
                f"{tuple(converted.event_shape)}. A list of Gaussians is a batch, whose event shapes are equal."
            )
        found.append(converted)
    return found[0][None] if len(found) == 1 else Gaussian.stack(found)
