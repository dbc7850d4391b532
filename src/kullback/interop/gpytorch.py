"""GPyTorch's MultivariateNormal, which holds a lazy covariance."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.classes import class_names


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """The covariance as a matrix: above a size GPyTorch itself would estimate traces and determinants by sampling."""
    if not class_names(x, "gpytorch"):
        return None
    lazy = getattr(x, "lazy_covariance_matrix", None)
    return None if lazy is None else Gaussian.from_covariance(x.loc, lazy.to_dense())
