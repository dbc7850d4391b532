"""Frozen distributions of ``scipy.stats``: ``norm`` and ``multivariate_normal``."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """Recognized by their classes; means and standard deviations, or covariances, are asked for."""
    kind = type(x).__name__
    if not type(x).__module__.startswith("scipy.stats."):
        return None
    if kind == "rv_continuous_frozen" and x.dist.name == "norm":
        return Gaussian.from_std(x.mean(), x.std(), event_dims=0)
    if kind == "multivariate_normal_frozen":
        return Gaussian.from_covariance(x.mean, x.cov_object.covariance)
    return None
