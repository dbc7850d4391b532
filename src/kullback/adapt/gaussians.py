"""Whatever stands for a Gaussian, as a :class:`~kullback.Gaussian`."""

from typing import Any

from torch import Tensor, distributions

from kullback.adapt import diffusers, gpytorch, torch_multivariate, torch_normal
from kullback.errors import NoClosedForm
from kullback.gaussian import Gaussian

# Each recognises its own without importing it, and passes on the rest. GPyTorch's are also torch's.
_READERS = (gpytorch.read, torch_normal.read, torch_multivariate.read, diffusers.read)


def as_gaussian(x: Any, name: str) -> Gaussian:
    """``x`` itself, or the Gaussian that a foreign object is.

    Raises:
        NoClosedForm: for a distribution of torch that is not among those understood.
        TypeError: for anything else.
    """
    if isinstance(x, Gaussian):
        return x
    for read in _READERS:
        gaussian = read(x, name)
        if gaussian is not None:
            return gaussian
    # Mixtures are made of Gaussians, and read by way of this module.
    from kullback.adapt import mixtures

    mixture = mixtures.read(x, name)
    if mixture is not None:
        raise NoClosedForm(
            f"{name} is a Mixture[{mixture.n_components}]: divergences of mixtures have no closed form. Proved bounds: "
            "kl_bounds(p, q). Estimate with its error: kl_estimate(p, q). Of entropies: entropy_bounds, "
            "entropy_estimate."
        )
    if isinstance(x, distributions.Distribution):
        raise NoClosedForm(
            f"{name} is a torch.distributions {type(x).__name__}: no exact divergence is implemented for it. Normal, "
            "Independent(Normal), MultivariateNormal and LowRankMultivariateNormal are."
        )
    hint = "Build one: Gaussian.from_std(mean, std), from_variance(...), from_logvar(...) or from_covariance(...)."
    if isinstance(x, Tensor) or hasattr(x, "__array__"):
        hint = f"Are these samples? kl_estimate(p, q) estimates from samples. Are these means? {hint}"
    raise TypeError(f"{name} must be a Gaussian or a torch.distributions Gaussian, got {type(x).__name__}. {hint}")
