"""How far apart are Gaussians? Exact where an exact number exists.

Names are resolved when they are first used: importing kullback imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kullback.all_pairs import Augmented, augmented, pairwise
    from kullback.bounds import Bounds
    from kullback.divergences.bhattacharyya import bhattacharyya
    from kullback.divergences.chi_squared import chi_squared
    from kullback.divergences.cross_entropy import cross_entropy, entropy
    from kullback.divergences.fisher_rao import fisher_rao, fisher_rao_bounds
    from kullback.divergences.geometric_jensen_shannon import geometric_jensen_shannon
    from kullback.divergences.hellinger import hellinger
    from kullback.divergences.jeffreys import jeffreys
    from kullback.divergences.kl import KLDecomposition, kl_decomposition, kl_divergence, kl_per_dimension
    from kullback.divergences.renyi import renyi
    from kullback.divergences.wasserstein2 import wasserstein2
    from kullback.errors import NoClosedForm, NotPositiveDefinite, PosteriorFileError, ShapeError
    from kullback.estimate.bounds import cross_entropy_bounds, entropy_bounds, jensen_shannon_bounds, kl_bounds
    from kullback.estimate.entropy import cross_entropy_estimate, entropy_estimate
    from kullback.estimate.jensen_shannon import jensen_shannon
    from kullback.estimate.kl import kl_estimate
    from kullback.estimate.mutual_information import mutual_information
    from kullback.estimate.result import Estimate
    from kullback.explanation import Explanation, explain
    from kullback.gaussian import Gaussian
    from kullback.integrations.torch_registry import register_with_torch
    from kullback.latents.compare import Comparison, compare
    from kullback.mixture import Mixture
    from kullback.neighbours import Neighbours, nearest
    from kullback.projections import nearest_diagonal, nearest_isotropic

__version__ = "0.1.0"

_HOME = {
    "Augmented": "kullback.all_pairs",
    "Bounds": "kullback.bounds",
    "Comparison": "kullback.latents.compare",
    "Estimate": "kullback.estimate.result",
    "Explanation": "kullback.explanation",
    "Gaussian": "kullback.gaussian",
    "KLDecomposition": "kullback.divergences.kl",
    "Mixture": "kullback.mixture",
    "Neighbours": "kullback.neighbours",
    "NoClosedForm": "kullback.errors",
    "NotPositiveDefinite": "kullback.errors",
    "PosteriorFileError": "kullback.errors",
    "ShapeError": "kullback.errors",
    "augmented": "kullback.all_pairs",
    "bhattacharyya": "kullback.divergences.bhattacharyya",
    "chi_squared": "kullback.divergences.chi_squared",
    "compare": "kullback.latents.compare",
    "cross_entropy": "kullback.divergences.cross_entropy",
    "cross_entropy_bounds": "kullback.estimate.bounds",
    "cross_entropy_estimate": "kullback.estimate.entropy",
    "entropy": "kullback.divergences.cross_entropy",
    "entropy_bounds": "kullback.estimate.bounds",
    "entropy_estimate": "kullback.estimate.entropy",
    "explain": "kullback.explanation",
    "fisher_rao": "kullback.divergences.fisher_rao",
    "fisher_rao_bounds": "kullback.divergences.fisher_rao",
    "geometric_jensen_shannon": "kullback.divergences.geometric_jensen_shannon",
    "hellinger": "kullback.divergences.hellinger",
    "jeffreys": "kullback.divergences.jeffreys",
    "jensen_shannon": "kullback.estimate.jensen_shannon",
    "jensen_shannon_bounds": "kullback.estimate.bounds",
    "kl_bounds": "kullback.estimate.bounds",
    "kl_decomposition": "kullback.divergences.kl",
    "kl_divergence": "kullback.divergences.kl",
    "kl_estimate": "kullback.estimate.kl",
    "kl_per_dimension": "kullback.divergences.kl",
    "mutual_information": "kullback.estimate.mutual_information",
    "nearest": "kullback.neighbours",
    "nearest_diagonal": "kullback.projections",
    "nearest_isotropic": "kullback.projections",
    "pairwise": "kullback.all_pairs",
    "register_with_torch": "kullback.integrations.torch_registry",
    "renyi": "kullback.divergences.renyi",
    "wasserstein2": "kullback.divergences.wasserstein2",
}

# What is used as a module: kullback.losses.kl_loss.
_MODULES = ("approximations", "kernels", "losses")

__all__ = [
    "Augmented",
    "Bounds",
    "Comparison",
    "Estimate",
    "Explanation",
    "Gaussian",
    "KLDecomposition",
    "Mixture",
    "Neighbours",
    "NoClosedForm",
    "NotPositiveDefinite",
    "PosteriorFileError",
    "ShapeError",
    "augmented",
    "bhattacharyya",
    "chi_squared",
    "compare",
    "cross_entropy",
    "cross_entropy_bounds",
    "cross_entropy_estimate",
    "entropy",
    "entropy_bounds",
    "entropy_estimate",
    "explain",
    "fisher_rao",
    "fisher_rao_bounds",
    "geometric_jensen_shannon",
    "hellinger",
    "jeffreys",
    "jensen_shannon",
    "jensen_shannon_bounds",
    "kl_bounds",
    "kl_decomposition",
    "kl_divergence",
    "kl_estimate",
    "kl_per_dimension",
    "mutual_information",
    "nearest",
    "nearest_diagonal",
    "nearest_isotropic",
    "pairwise",
    "register_with_torch",
    "renyi",
    "wasserstein2",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"kullback.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'kullback' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *_MODULES]
