"""Posteriors like those of diffusers' autoencoders: tensors ``.mean`` and ``.logvar`` of shape (B, C, H, W)."""

import warnings
from typing import Any

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.validation import should_validate

# What diffusers clamps log-variances to.
_CLAMP = (-30.0, 20.0)


def read(x: Any, name: str, _convert: object) -> Gaussian | None:
    """Everything but the first dimension is one latent."""
    x = getattr(x, "latent_dist", x)
    logvar = getattr(x, "logvar", None)
    # In this order: distributions of torch may have a mean that raises.
    mean = getattr(x, "mean", None) if isinstance(logvar, Tensor) else None
    if not isinstance(mean, Tensor) or not isinstance(logvar, Tensor):
        return None
    if getattr(x, "deterministic", False):
        raise ValueError(f"{name} is deterministic: it has no spread, and no finite divergence from anything else.")
    if should_validate(logvar, validate=None):
        clamped = int(((logvar <= _CLAMP[0]) | (logvar >= _CLAMP[1])).sum())
        if clamped:
            warnings.warn(
                f"{name}: {clamped} of {logvar.numel()} log-variances are at the clamp of diffusers ({_CLAMP[0]:g} or "
                f"{_CLAMP[1]:g}); what the encoder said is lost there, and so are gradients.",
                stacklevel=2,
            )
    return Gaussian.from_logvar(mean, logvar, event_dims=mean.ndim - 1)
