"""Pyro's distributions that torch has no class for. Its Normals are also torch's, and are read as these."""

from collections.abc import Callable
from typing import Any

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.classes import class_names


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
        raise NoClosedForm(
            f"{name} is a MaskedDistribution, which is no density where it is masked. Pass {name}.base_dist, and leave "
            "out the rows that are masked."
        )
    return base.expand(x.batch_shape)
