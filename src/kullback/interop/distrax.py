"""distrax's Normal and MultivariateNormals, and Independent of Normals."""

from typing import Any

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.classes import class_names

_DIAGONAL = {"Normal", "MultivariateNormalDiag"}


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """By standard deviations where the coordinates are independent, else by the triangular factor or the covariance.

    Raises:
        NoClosedForm: for independent multivariate Gaussians.
    """
    kinds, inside = class_names(x, "distrax"), x
    while "Independent" in class_names(inside, "distrax"):
        inside = inside.distribution
    within = class_names(inside, "distrax")
    if within & _DIAGONAL:
        event_dims = len(x.event_shape)
        if inside is x and "LogStddevNormal" in kinds:
            return Gaussian.from_log_std(x.mean(), x.log_scale, event_dims=event_dims)
        return Gaussian.from_std(x.mean(), x.stddev(), event_dims=event_dims)
    if "MultivariateNormalFromBijector" not in within:
        return None
    if inside is not x:
        raise NoClosedForm(f"{name} is independent {type(inside).__name__}s. Their divergences add up: sum those.")
    if "MultivariateNormalTri" in kinds and x.is_lower:
        return Gaussian.from_factor(x.mean(), x.scale_tri)
    return Gaussian.from_covariance(x.mean(), x.covariance())
