"""The ways to estimate a divergence from samples, by name: a row each."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.estimate.samples import calibrated, plain
from kullback.estimate.samples.result import SampleEstimate, Step


@dataclass(frozen=True)
class Method:
    """How to estimate."""

    of_samples: Callable[[Tensor, Tensor, torch.Generator, Step], SampleEstimate]
    """From whitened rows of p and of q."""
    against_density: Callable[[Tensor, Tensor, torch.Generator, Step], SampleEstimate]
    """From whitened rows of p and the logarithms of q there."""
    caveat: str | None = None
    differentiable: bool = False


METHODS = {
    "calibrated": Method(calibrated.of_samples, calibrated.against_density),
    "gaussian": Method(
        plain.gaussian_of_samples,
        plain.gaussian_against_density,
        "the samples are taken for Gaussian: the estimate is that of Gaussians with their means and covariances",
        differentiable=True,
    ),
    "knn": Method(
        plain.neighbours_of_samples,
        plain.neighbours_against_density,
        "neighbours alone are low where p and q are apart or have many coordinates, by an amount that the error does "
        "not know",
    ),
}
DEFAULT = "calibrated"
