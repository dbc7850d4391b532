"""Full covariances in a file, as the statistics of a Fréchet distance are saved: of one Gaussian, or of each row."""

import contextlib
import warnings

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, PosteriorFileError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.columns import ModelColumns
from kullback.io.text import printable
from kullback.numerics.arrays import FLOATING


def covariance_column(columns: ModelColumns, scale: Parameterization | None) -> str | None:
    """The name of the column that may hold the covariances of a model; None if its scale is another, or was stated."""
    if scale is not None or set(columns.scales) - {"covariance", "sigma"}:
        return None
    return columns.scales.get("covariance", columns.scales.get("sigma"))


def with_covariances(mean: Tensor, matrix: Tensor, mean_name: str, matrix_name: str, where: str) -> Gaussian | None:
    """The Gaussians of means ``(N, d)`` and covariances ``(N, d, d)``, or of one of each; None for other shapes.

    Singular ones are taken as they are: those of a few images have no others. What is positive semidefinite as float32
    alone was computed so and saved as float64, and is taken as float32, with a warning that names the file, ``where``.

    Raises:
        PosteriorFileError: if a mean is not finite, or a matrix is no covariance.
    """
    if mean.ndim > 2 or matrix.shape != (*mean.shape, mean.shape[-1]):
        return None
    mean, matrix = (x if x.dtype in FLOATING else x.to(torch.float64) for x in (mean, matrix))
    if mean.ndim == 1:
        mean, matrix = mean[None], matrix[None]
    if not torch.isfinite(mean).all():
        raise PosteriorFileError(f"column {printable(mean_name)!r} holds a mean that is not finite.")
    try:
        return _of_covariances(mean, matrix)
    except ValueError as error:
        if matrix.dtype is torch.float64:
            with contextlib.suppress(ValueError):
                g = Gaussian.from_covariance(mean, matrix.to(torch.float32), singular=True)
                warnings.warn(
                    f"{where}: column {printable(matrix_name)!r} is positive semidefinite to the precision of float32, "
                    "and not to that of float64, which it is saved as; it is taken as float32",
                    stacklevel=2,
                )
                return g
        raise PosteriorFileError(f"column {printable(matrix_name)!r}: {error}") from None


def _of_covariances(mean: Tensor, matrix: Tensor) -> Gaussian:
    try:
        return Gaussian.from_covariance(mean, matrix)
    except NotPositiveDefinite:
        return Gaussian.from_covariance(mean, matrix, singular=True)
