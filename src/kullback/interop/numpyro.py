"""NumPyro's Normal, MultivariateNormal and LowRankMultivariateNormal, expanded, and with dimensions made events."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.shared import masked, with_more_event_dims
from kullback.numerics.arrays import ArrayKind, to_tensor
from kullback.numerics.classes import class_names


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """By what the distributions hold: standard deviations, Cholesky factors, or a factor and variances.

    Raises:
        NoClosedForm: for a masked distribution.
    """
    kinds = class_names(x, "numpyro")
    if "Normal" in kinds:
        mean, scale = (to_tensor(value, name)[0] for value in (x.mean, x.scale))
        if isinstance(mean, Tensor) and isinstance(scale, Tensor):
            # The mean has the shape of the batch and JAX's dtype; NumPyro leaves the scale as it was given.
            scale = scale.to(mean.dtype).expand(x.batch_shape)
        return Gaussian.from_std(mean, scale, event_dims=0).with_array_kind(ArrayKind.NUMPY)
    if "MultivariateNormal" in kinds:
        return Gaussian.from_scale_tril(x.mean, x.scale_tril)
    if "LowRankMultivariateNormal" in kinds:
        return Gaussian.from_low_rank(x.mean, x.cov_factor, x.cov_diag)
    if "MaskedDistribution" in kinds:
        raise masked(name)
    base = convert(x.base_dist, name) if kinds & {"Independent", "ExpandedDistribution"} else None
    if not isinstance(base, Gaussian):
        return None
    if "Independent" in kinds:
        return with_more_event_dims(base, x.reinterpreted_batch_ndims, name)
    return base.expand(x.batch_shape)
