"""The methods that estimate a divergence from samples, by name: one row each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.estimate.samples import calibrated, plain
from kullback.estimate.samples.result import SampleEstimate, Step


@dataclass(frozen=True)
class Method:
    """The two functions of a method, and what its user must know."""

    of_samples: Callable[[Tensor, Tensor, torch.Generator, Step], SampleEstimate]
    """Estimates from whitened rows of p and of q."""
    against_density: Callable[[Tensor, Tensor, torch.Generator, Step], SampleEstimate]
    """Estimates from whitened rows of p and the log-density of q there."""
    caveat: str | None = None
    """A warning that every estimate of the method carries."""
    differentiable: bool = False
    """Whether the gradient of the estimate is an estimate of the gradient of the divergence."""
    by_distances: bool = True
    """Whether the method looks at distances between rows, which say nothing where values were rounded."""


METHODS = {
    "calibrated": Method(calibrated.of_samples, calibrated.against_density),
    "gaussian": Method(
        plain.gaussian_of_samples,
        plain.gaussian_against_density,
        "the samples are taken for Gaussian: the estimate is that of Gaussians with their means and covariances",
        differentiable=True,
        by_distances=False,
    ),
    "knn": Method(
        plain.neighbours_of_samples,
        plain.neighbours_against_density,
        "estimates by neighbours alone are low where p and q are far apart or have many coordinates, by an amount that "
        "the standard error does not include",
    ),
}
DEFAULT = "calibrated"
