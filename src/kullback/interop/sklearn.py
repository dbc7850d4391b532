"""scikit-learn's ``GaussianMixture`` and ``BayesianGaussianMixture``, once they have been fitted."""

from typing import Any

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.numerics.classes import class_names


def read(x: Any, name: str, _convert: object) -> Mixture | None:
    """The fitted mixture.

    Raises:
        ValueError: if it has not been fitted.
    """
    if not class_names(x, "sklearn") & {"GaussianMixture", "BayesianGaussianMixture"}:
        return None
    if not hasattr(x, "weights_"):
        raise ValueError(f"{name} is a {type(x).__name__} that has not been fitted: call fit first.")
    return Mixture(x.weights_, _components(x.means_, x.covariances_, x.covariance_type))


def _components(means: Any, covariances: Any, covariance_type: str) -> Gaussian:
    if covariance_type == "diag":
        return Gaussian.from_variance(means, covariances)
    if covariance_type == "spherical":
        return Gaussian.from_variance(means, covariances[:, None].repeat(means.shape[1], 1))
    # Symmetric but for rounding.
    return Gaussian.from_covariance(means, 0.5 * (covariances + covariances.swapaxes(-1, -2)))
