"""Whatever stands for a mixture of Gaussians: torch's ``MixtureSameFamily`` and scikit-learn's ``GaussianMixture``."""

from typing import Any

from torch import distributions

from kullback.adapt.gaussians import as_gaussian
from kullback.errors import NoClosedForm
from kullback.gaussian import Gaussian
from kullback.mixture import Mixture


def read(x: Any, name: str) -> Mixture | None:
    """The mixture that an object is; None if it is none, or not of Gaussians."""
    if isinstance(x, Mixture):
        return x
    if isinstance(x, distributions.MixtureSameFamily):
        try:
            components = as_gaussian(x.component_distribution, name)
        except NoClosedForm:
            return None
        return Mixture.from_logits(x.mixture_distribution.logits, components)
    kinds = {(k.__module__.split(".")[0], k.__name__) for k in type(x).__mro__}
    if ("sklearn", "GaussianMixture") not in kinds:
        return None
    if not hasattr(x, "weights_"):
        raise ValueError(f"{name} is a GaussianMixture that has not been fitted: call fit first.")
    return Mixture(x.weights_, _components(x.means_, x.covariances_, x.covariance_type))


def _components(means: Any, covariances: Any, given: str) -> Gaussian:
    if given == "diag":
        return Gaussian.from_variance(means, covariances)
    if given == "spherical":
        return Gaussian.from_variance(means, covariances[:, None].repeat(means.shape[1], 1))
    # Symmetric but for rounding.
    return Gaussian.from_covariance(means, 0.5 * (covariances + covariances.swapaxes(-1, -2)))
