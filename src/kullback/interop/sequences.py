"""Lists of Gaussians, or of what stands for them: a batch."""

from collections.abc import Callable
from typing import Any

from torch.distributions import Distribution

from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """The Gaussians, stacked; None for a list of anything else, such as numbers.

    Raises:
        ShapeError: if their events differ.
    """
    if not isinstance(x, list | tuple) or not x or not isinstance(x[0], Gaussian | Distribution):
        return None
    found = [convert(each, f"{name}[{i}]") for i, each in enumerate(x)]
    if not all(isinstance(each, Gaussian) for each in found):
        return None
    return found[0][None] if len(found) == 1 else Gaussian.stack(found)
