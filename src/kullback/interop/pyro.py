"""Pyro's distributions that torch has no class for. Its Normals are also torch's, and are read as these."""

from collections.abc import Callable
from typing import Any

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.shared import masked
from kullback.numerics.classes import class_names


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """An expanded Gaussian.

    Raises:
        NoClosedForm: for a masked Gaussian.
    """
    kinds = class_names(x, "pyro") & {"ExpandedDistribution", "MaskedDistribution"}
    base = convert(x.base_dist, name) if kinds else None
    if not isinstance(base, Gaussian):
        return None
    if "MaskedDistribution" in kinds:
        raise masked(name)
    return base.expand(x.batch_shape)
