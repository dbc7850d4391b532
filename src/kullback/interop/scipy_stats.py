"""Frozen distributions of ``scipy.stats``: ``norm`` and ``multivariate_normal``."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.classes import class_names


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """Recognized by their classes; means and standard deviations, or covariances, are asked for."""
    kinds = class_names(x, "scipy.stats")
    if "rv_continuous_frozen" in kinds and type(x.dist).__name__ == "norm_gen":
        return Gaussian.from_std(x.mean(), x.std(), event_dims=0)
    if "multivariate_normal_frozen" in kinds:
        return Gaussian.from_covariance(x.mean, x.cov_object.covariance)
    return None
