"""The mean and the scale of samples, to the last digits that the samples have."""

import math

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, ShapeError
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.gaussians.scales.matrix import Tril
from kullback.gaussians.singular import scale_of_factor
from kullback.gaussians.validation import check_finite, should_validate
from kullback.numerics.linear_algebra import lower_factor


def check_batch_of_samples(shape: torch.Size, batch_dims: int | None) -> None:
    """Raise a ShapeError unless the samples ``(n, *batch, d)`` have this many dimensions of a batch; if it is not said,
    for fewer samples than Gaussians.
    """
    n, *batch, d = shape
    if batch_dims is None and batch and n < math.prod(batch):
        raise ShapeError(
            f"x of shape {tuple(shape)} would be {n} samples of each of {math.prod(batch)} Gaussians. If so, say "
            f"batch_dims={len(batch)}. For {n} chains of draws: x.reshape(-1, {d}), or a Gaussian for each chain from "
            f"x.swapaxes(0, 1), batch_dims=1."
        )
    if batch_dims is not None and batch_dims != len(batch):
        raise ShapeError(
            f"x of shape {tuple(shape)} has {len(batch)} dimensions between the samples and the coordinates, not "
            f"batch_dims={batch_dims}."
        )


STRUCTURES = ("diagonal", "full", "low_rank")
"""What the scale of samples may be."""


def mean_and_scale(samples: Tensor, structure: str) -> tuple[Tensor, Scale]:
    """The mean of samples ``(n, *batch, d)`` and their unbiased standard deviations, or a factor of their covariance.

    Raises as :meth:`Gaussian.from_samples` does.
    """
    n, d = len(samples), samples.shape[-1]
    if structure == "full" and n <= d:
        raise NotPositiveDefinite(
            f"{n} samples of {d} coordinates have a singular covariance. A full covariance with a density needs more "
            "samples than coordinates. structure='low_rank' takes it as it is, for distances; structure='diagonal' "
            "needs two samples."
        )
    # Moved to the first sample before anything is summed: at a mean of 1e4 and a standard deviation of 1e-3 the
    # rounding of the mean alone would be of the size of the variance.
    moved = samples - samples[:1]
    mean = samples[0] + moved.mean(0)
    # And divided by their size before they are squared, which may leave the range of the dtype.
    size = moved.detach().abs().amax(0)
    unit = moved / torch.where(size > 0, size, 1.0)
    if structure == "low_rank":
        check_finite(samples, "x", validate=None)
        return mean, scale_of_factor(_centred(unit) * size.unsqueeze(-1))
    std = unit.std(0)
    if should_validate(std, validate=None) and not (std > 0).all():
        column = (~(std > 0)).nonzero()[0].tolist()
        raise ValueError(f"coordinate {column} does not vary, or is NaN, over {n} samples.")
    return mean, Tril(_factor(unit, size, std)) if structure == "full" else Diagonal(size * std, "std")


def _centred(unit: Tensor) -> Tensor:
    """The factor of the covariance, ``(*batch, d, n)``; the product with itself would square its condition."""
    return (unit - unit.mean(0)).movedim(0, -1) / math.sqrt(len(unit) - 1)


def _factor(unit: Tensor, size: Tensor, std: Tensor) -> Tensor:
    factor = lower_factor(_centred(unit).mT) * size.unsqueeze(-1)
    if should_validate(factor, validate=None):
        left = factor.detach().diagonal(dim1=-2, dim2=-1) / (size * std)
        lost = ~(left > 10 * math.sqrt(unit.shape[-1]) * torch.finfo(factor.dtype).eps)
        if lost.any():
            raise NotPositiveDefinite(
                f"coordinate {lost.nonzero()[0].tolist()} is a linear function of those before it; the covariance of "
                "the samples is singular. structure='low_rank' takes it as it is."
            )
    return factor
