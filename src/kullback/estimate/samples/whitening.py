"""Coordinates in which the covariance of all rows together is the identity."""

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite
from kullback.estimate.samples.reading import Samples
from kullback.gaussians.moments import mean_and_scale
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.linear_algebra import solve_lower

# The smallest standard deviation in any direction, relative to that of all samples together; below it the rows have too
# few digits left.
_SMALLEST_SPREAD = 1e-7


def whitened(x: Samples, y: Samples | None) -> tuple[Tensor, Tensor | None, Tensor]:
    """The rows in coordinates in which all rows together have the identity as covariance.

    Divergences are the same there, and distances do not depend on the units of the coordinates.

    Returns:
        The rows of x, the rows of y, and the log-determinant of the factor of the covariance that was divided out.

    Raises:
        NotPositiveDefinite: if a coordinate of x or y is a linear function of others.
        ValueError: if x or y is too narrow, in some direction, compared with all rows together.
    """
    both = [x] if y is None else [x, y]
    moments = [_mean_and_factor_of(samples) for samples in both]
    mean, factor = moments[0] if y is None else _mean_and_factor(torch.cat([x.rows, y.rows]))
    whitened_rows = [solve_lower(factor, (samples.rows - mean).mT).mT for samples in both]
    for samples, rows in zip(both, whitened_rows, strict=True):
        spread = torch.linalg.eigvalsh(torch.atleast_2d(rows.detach().mT.cov()))[0].clamp(min=0.0).sqrt()
        if not spread > _SMALLEST_SPREAD:
            raise ValueError(
                f"{samples.name} is spread {float(spread):.1g} times as far in some direction as both samples "
                "together: too little to tell its rows apart. If the densities are known, pass them."
            )
    return whitened_rows[0], whitened_rows[1] if y is not None else None, factor.diagonal().log().sum()


def _mean_and_factor_of(samples: Samples) -> tuple[Tensor, Tensor]:
    """As below, with the name of the samples in the error message."""
    try:
        return _mean_and_factor(samples.rows)
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(f"{samples.name}: {error}") from None


def _mean_and_factor(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the rows, and the Cholesky factor of their covariance."""
    mean, scale = mean_and_scale(rows.detach(), "full")
    assert isinstance(scale, Tril)
    return mean, scale.tril()
