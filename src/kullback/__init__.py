"""How far apart are Gaussians? Exact where an exact number exists.

Names are resolved when they are first used: importing kullback imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kullback.divergences.kl import kl_divergence, kl_per_dimension
    from kullback.errors import NoClosedForm, PosteriorFileError, ShapeError
    from kullback.gaussian import Gaussian
    from kullback.latents.compare import Comparison, compare

__version__ = "0.1.0"

_HOME = {
    "Comparison": "kullback.latents.compare",
    "Gaussian": "kullback.gaussian",
    "NoClosedForm": "kullback.errors",
    "PosteriorFileError": "kullback.errors",
    "ShapeError": "kullback.errors",
    "compare": "kullback.latents.compare",
    "kl_divergence": "kullback.divergences.kl",
    "kl_per_dimension": "kullback.divergences.kl",
}

__all__ = [
    "Comparison",
    "Gaussian",
    "NoClosedForm",
    "PosteriorFileError",
    "ShapeError",
    "compare",
    "kl_divergence",
    "kl_per_dimension",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'kullback' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
