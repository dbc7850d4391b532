"""distrax's Normal and MultivariateNormals, and Independent of Normals."""

from typing import Any

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.shared import independent_multivariate
from kullback.numerics.arrays import ArrayKind, to_tensor
from kullback.numerics.classes import class_names

_DIAGONAL = {"Normal", "MultivariateNormalDiag"}


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """By standard deviations where the coordinates are independent, or their logarithms, if those are what is held;
    else by the triangular factor or the covariance.

    Raises:
        NoClosedForm: for independent multivariate Gaussians.
    """
    kinds, inside = class_names(x, "distrax"), x
    while "Independent" in class_names(inside, "distrax"):
        inside = inside.distribution
    within = class_names(inside, "distrax")
    if within & _DIAGONAL:
        event_dims = len(x.event_shape)
        if "LogStddevNormal" in within:
            mean, log_scale = (to_tensor(value, name)[0] for value in (x.mean(), inside.log_scale))
            if isinstance(mean, Tensor) and isinstance(log_scale, Tensor):
                # The mean has the shape of the batch; distrax leaves the scale as it was given.
                log_scale = log_scale.to(mean.dtype).expand(mean.shape)
            g = Gaussian.from_log_std(mean, log_scale, event_dims=event_dims)
            return g.with_array_kind(ArrayKind.NUMPY)
        return Gaussian.from_std(x.mean(), x.stddev(), event_dims=event_dims)
    if "MultivariateNormalFromBijector" not in within:
        return None
    if inside is not x:
        raise independent_multivariate(name)
    if "MultivariateNormalTri" in kinds and x.is_lower:
        return Gaussian.from_factor(x.mean(), x.scale_tri)
    return Gaussian.from_covariance(x.mean(), x.covariance())
