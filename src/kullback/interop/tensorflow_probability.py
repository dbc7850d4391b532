"""TensorFlow Probability's Normal, Independent or Sample of it, and MultivariateNormals; on JAX and on TensorFlow."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.shared import independent_multivariate
from kullback.numerics.classes import class_names

_LIBRARY = "tensorflow_probability"
_DIAGONAL = {"LinearOperatorDiag", "LinearOperatorScaledIdentity", "LinearOperatorIdentity", "NoneType"}


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """By standard deviations where the coordinates are independent, else by the factor that the scale is.

    Raises:
        NoClosedForm: for independent multivariate Gaussians.
    """
    inside = x
    while class_names(inside, _LIBRARY) & {"Independent", "Sample"}:
        inside = inside.distribution
    within = class_names(inside, _LIBRARY)
    multivariate = "MultivariateNormalLinearOperator" in within
    if "Normal" in within or (multivariate and type(inside.scale).__name__ in _DIAGONAL):
        return Gaussian.from_std(x.mean(), x.stddev(), event_dims=len(x.event_shape))
    if not multivariate:
        return None
    if inside is not x:
        raise independent_multivariate(name)
    return Gaussian.from_factor(x.mean(), x.scale.to_dense())
