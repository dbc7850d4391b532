"""Distributions of ``scipy.stats``: frozen ``norm`` and ``multivariate_normal``, and ``Normal``."""

from typing import Any

import numpy as np

from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.classes import class_names


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """Recognized by their classes; means and standard deviations, or covariances, are asked for.

    A covariance that scipy was told may be singular is taken as it is; one of an eigendecomposition by its factor.
    """
    kinds = class_names(x, "scipy.stats")
    if "rv_continuous_frozen" in kinds and type(x.dist).__name__ == "norm_gen":
        return Gaussian.from_std(x.mean(), x.std(), event_dims=0)
    if kinds & {"Normal", "StandardNormal"} and "ContinuousDistribution" in kinds:
        return Gaussian.from_std(x.mean(), x.standard_deviation(), event_dims=0)
    if "multivariate_normal_frozen" not in kinds:
        return None
    given = x.cov_object
    singular = given.rank < given.shape[-1]
    if singular and "CovViaEigendecomposition" in class_names(given, "scipy.stats"):
        return Gaussian.from_factor(x.mean, given.colorize(np.eye(given.shape[-1])).T, singular=True)
    return Gaussian.from_covariance(x.mean, given.covariance, singular=singular)
