"""``torch.distributions`` MixtureSameFamily."""

from collections.abc import Callable
from typing import Any

from torch import distributions

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Mixture | None:
    """A mixture of Gaussians; other mixtures are not read."""
    if not isinstance(x, distributions.MixtureSameFamily):
        return None
    components = convert(x.component_distribution, name)
    if not isinstance(components, Gaussian):
        return None
    return Mixture.from_logits(x.mixture_distribution.logits, components)
