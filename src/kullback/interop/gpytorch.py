"""GPyTorch's MultivariateNormal, which holds a lazy covariance."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """The covariance as a matrix: above a size GPyTorch itself would estimate traces and determinants by sampling."""
    if not any(base.__module__.startswith("gpytorch.") for base in type(x).__mro__):
        return None
    lazy = getattr(x, "lazy_covariance_matrix", None)
    return None if lazy is None else Gaussian.from_covariance(x.loc, lazy.to_dense())
