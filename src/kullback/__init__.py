"""How far apart are Gaussians? Exact where an exact number exists.

Names are resolved when they are first used: importing kullback imports no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from kullback._version import __version__ as __version__
from kullback.divergences.registry import RECORDS

if TYPE_CHECKING:
    from kullback.alignment.align import align as align
    from kullback.alignment.alignment import Alignment as Alignment
    from kullback.alignment.alignment import MeanDivergence as MeanDivergence
    from kullback.all_pairs.nearest import Neighbours as Neighbours
    from kullback.all_pairs.nearest import nearest as nearest
    from kullback.all_pairs.pairwise import Augmented as Augmented
    from kullback.all_pairs.pairwise import augmented as augmented
    from kullback.all_pairs.pairwise import pairwise as pairwise
    from kullback.comparison.compare import compare as compare
    from kullback.comparison.compare_all import Comparisons as Comparisons
    from kullback.comparison.compare_all import compare_all as compare_all
    from kullback.comparison.comparison import Comparison as Comparison
    from kullback.comparison.encode import encode as encode
    from kullback.comparison.statistics import Thresholds as Thresholds
    from kullback.divergences.cross_entropy import cross_entropy as cross_entropy
    from kullback.divergences.cross_entropy import entropy as entropy
    from kullback.divergences.fisher_rao import fisher_rao_bounds as fisher_rao_bounds
    from kullback.divergences.kl import kl_decomposition as kl_decomposition
    from kullback.divergences.kl import kl_per_dimension as kl_per_dimension
    from kullback.divergences.kl import kl_terms as kl_terms
    from kullback.divergences.projections import nearest_diagonal as nearest_diagonal
    from kullback.divergences.projections import nearest_isotropic as nearest_isotropic
    from kullback.divergences.registry import *  # noqa: F403
    from kullback.divergences.results import Bounds as Bounds
    from kullback.divergences.results import KLDecomposition as KLDecomposition
    from kullback.divergences.results import KLTerms as KLTerms
    from kullback.divergences.torch_registry import register_with_torch as register_with_torch
    from kullback.errors import NoClosedForm as NoClosedForm
    from kullback.errors import NotPositiveDefinite as NotPositiveDefinite
    from kullback.errors import PosteriorFileError as PosteriorFileError
    from kullback.errors import ShapeError as ShapeError
    from kullback.estimate.bounds import cross_entropy_bounds as cross_entropy_bounds
    from kullback.estimate.bounds import entropy_bounds as entropy_bounds
    from kullback.estimate.bounds import jensen_shannon_bounds as jensen_shannon_bounds
    from kullback.estimate.bounds import kl_bounds as kl_bounds
    from kullback.estimate.entropy import cross_entropy_estimate as cross_entropy_estimate
    from kullback.estimate.entropy import entropy_estimate as entropy_estimate
    from kullback.estimate.jensen_shannon import jensen_shannon as jensen_shannon
    from kullback.estimate.jensen_shannon import jensen_shannon_estimate as jensen_shannon_estimate
    from kullback.estimate.kl import kl_estimate as kl_estimate
    from kullback.estimate.mutual_information import mutual_information as mutual_information
    from kullback.estimate.mutual_information import mutual_information_estimate as mutual_information_estimate
    from kullback.estimate.result import Estimate as Estimate
    from kullback.explanation.explain import Explanation as Explanation
    from kullback.explanation.explain import explain as explain
    from kullback.gaussians.gaussian import Gaussian as Gaussian
    from kullback.gaussians.mixture import Mixture as Mixture
    from kullback.interop.registry import as_gaussian as as_gaussian

_NAMES_OF_MODULES = {
    "alignment.align": ("align",),
    "alignment.alignment": ("Alignment", "MeanDivergence"),
    "all_pairs.nearest": ("Neighbours", "nearest"),
    "all_pairs.pairwise": ("Augmented", "augmented", "pairwise"),
    "comparison.compare": ("compare",),
    "comparison.compare_all": ("Comparisons", "compare_all"),
    "comparison.comparison": ("Comparison",),
    "comparison.statistics": ("Thresholds",),
    "comparison.encode": ("encode",),
    "divergences.cross_entropy": ("cross_entropy", "entropy"),
    "divergences.fisher_rao": ("fisher_rao_bounds",),
    "divergences.kl": ("kl_decomposition", "kl_per_dimension", "kl_terms"),
    "divergences.projections": ("nearest_diagonal", "nearest_isotropic"),
    "divergences.results": ("Bounds", "KLDecomposition", "KLTerms"),
    "divergences.torch_registry": ("register_with_torch",),
    "errors": ("NoClosedForm", "NotPositiveDefinite", "PosteriorFileError", "ShapeError"),
    "estimate.bounds": ("cross_entropy_bounds", "entropy_bounds", "jensen_shannon_bounds", "kl_bounds"),
    "estimate.entropy": ("cross_entropy_estimate", "entropy_estimate"),
    "estimate.jensen_shannon": ("jensen_shannon", "jensen_shannon_estimate"),
    "estimate.kl": ("kl_estimate",),
    "estimate.mutual_information": ("mutual_information", "mutual_information_estimate"),
    "estimate.result": ("Estimate",),
    "explanation.explain": ("Explanation", "explain"),
    "gaussians.gaussian": ("Gaussian",),
    "gaussians.mixture": ("Mixture",),
    "interop.registry": ("as_gaussian",),
}
_HOME = {name: f"kullback.{module}" for module, names in _NAMES_OF_MODULES.items() for name in names}
_HOME |= {record.name: f"kullback.divergences.{record.module}" for record in RECORDS}

# What is used as a module: kullback.losses.kl_loss.
_MODULES = ("approximations", "kernels", "losses", "metrics")

__all__ = sorted(_HOME)


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
