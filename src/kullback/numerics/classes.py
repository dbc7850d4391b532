"""What classes of a library an object is of, told by their names: the library is not imported."""

from typing import Any

import numpy as np
from torch import Tensor

PLAIN = (Tensor, np.ndarray, list, tuple, int, float)
"""Numbers and what holds them that are of no other library."""


def class_names(x: Any, library: str) -> set[str]:
    """The names of those classes among the ancestors of an object that are defined in a library, or a package of it."""
    return {base.__name__ for base in type(x).__mro__ if _is_within(base.__module__, library)}


def _is_within(module: str, package: str) -> bool:
    return module.startswith(package) and module[len(package) :][:1] in ("", ".")
