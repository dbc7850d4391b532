"""What the encoders of pythae return: ``embedding``, which is the mean, and ``log_covariance``, the log-variances."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """Recognized by both names, as keys or as attributes. Everything but the first dimension is one latent."""
    fields = ("embedding", "log_covariance")
    mean, logvar = (x.get(field) if isinstance(x, Mapping) else getattr(x, field, None) for field in fields)
    if not isinstance(mean, Tensor) or not isinstance(logvar, Tensor) or mean.shape != logvar.shape:
        return None
    # The embedding of a single input has no batch dimension.
    return Gaussian.from_logvar(mean, logvar, event_dims=max(mean.ndim - 1, 1))
