"""Samples as rows of numbers: reading them, checking them, and the warnings about them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, ShapeError
from kullback.estimate.samples.recognition import refuse_counts, refuse_probabilities
from kullback.gaussians.moments import mean_and_scale
from kullback.gaussians.scales.matrix import Tril
from kullback.interop.registry import convert
from kullback.numerics.arrays import ArrayKind, to_tensor
from kullback.numerics.foreign_arrays import is_array
from kullback.numerics.linear_algebra import solve_lower

# The smallest standard deviation in any direction, relative to that of all samples together; below it the rows have too
# few digits left.
_SMALLEST_SPREAD = 1e-7

# Rows in which the distinct values of each coordinate are counted.
_COUNTED_ROWS = 1_000

# With fewer rows than this for each coordinate, the covariance is poorly known.
_ROWS_PER_COORDINATE = 5


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one density."""

    values: Tensor  # (n, *event), as given
    rows: Tensor  # (n, d), float64
    name: str
    dtype: torch.dtype
    array_kind: ArrayKind
    warnings: tuple[str, ...] = ()

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.rows.shape[1]

    def __len__(self) -> int:
        return len(self.rows)


def is_samples(x: Any) -> bool:
    """Whether ``x`` is an array of numbers, and not a density or a list of Gaussians."""
    if isinstance(x, (list, tuple)):
        return not x or convert(x[0], "x") is None
    return is_array(x) and not callable(getattr(x, "log_prob", None))


def as_samples(x: Any, name: str, event: torch.Size | None = None) -> Samples:
    """``x`` as samples, of the given event shape if it is known.

    Raises:
        ShapeError: unless the shape is ``(n, *event)``, or ``(n, d)`` or ``(n,)`` for an unknown event shape.
        ValueError: for values that are NaN or infinite, and for probabilities.
        TypeError: for an array that does not hold real numbers.
    """
    # The default dtype may not hold large integers exactly.
    value, kind = to_tensor(x, name, integers=torch.float64)
    if not isinstance(value, Tensor) or not value.ndim or not value.numel():
        shape = tuple(value.shape) if isinstance(value, Tensor) else ()
        raise ShapeError(f"{name}: samples are the rows of an array (n, d), got shape {shape}.")
    _require_shape(value, name, event)
    _require_finite(value.detach(), name)
    refuse_probabilities(value.detach(), name)
    warnings = []
    if event is None and value.ndim == 1:
        warnings.append(f"{name} has one dimension: taken as {len(value)} samples of one number")
    if _holds_whole_numbers(value.detach()):
        warnings.append(
            f"{name} holds whole numbers, which have no density: the estimate is that of numbers that were rounded"
        )
    dtype = value.dtype if value.dtype in (torch.float32, torch.float64) else torch.float32
    return Samples(value, value.reshape(len(value), -1).double(), name, dtype, kind, tuple(warnings))


def _require_shape(x: Tensor, name: str, event: torch.Size | None) -> None:
    shape = tuple(x.shape)
    if event is not None and x.shape[1:] != event:
        hint = " A torch Normal is one-dimensional: Independent(Normal(mu, std), 1)." if not event else ""
        raise ShapeError(f"{name} has samples of shape {shape[1:]}, the density has event shape {tuple(event)}.{hint}")
    if event is None and x.ndim > 2:
        raise ShapeError(
            f"{name} has shape {shape}: samples are the rows of an array (n, d). For a batch of samples call for each; "
            "for images flatten them: x.reshape(len(x), -1)."
        )


def _require_finite(x: Tensor, name: str) -> None:
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        at = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}{at} is {float(x[tuple(at)])}: samples are finite numbers. Leave such rows out.")


def _holds_whole_numbers(x: Tensor) -> bool:
    """Whether all values are whole although their dtype could represent fractions of their size."""
    return bool(((x == x.round()) & (x.abs() * torch.finfo(x.dtype).eps < 1)).all())


def check_samples(x: Samples, y: Samples | None) -> tuple[Samples, Samples | None, list[str]]:
    """The samples without coordinates that are the same constant in both, and all warnings about them.

    Raises:
        ShapeError: if the numbers of coordinates differ.
        ValueError: if there are too few rows, if a coordinate does not vary, or for counts of a histogram.
    """
    given = [x] if y is None else [x, y]
    warnings = [warning for samples in given for warning in samples.warnings]
    if y is not None:
        if x.d != y.d:
            raise ShapeError(
                f"{x.name} has {x.d} coordinates, {y.name} has {y.d}: they have the shapes {tuple(x.rows.shape)} and "
                f"{tuple(y.rows.shape)}."
            )
        refuse_counts(x.rows.detach(), y.rows.detach())
    varying = [_varying(samples) for samples in given]
    constant = _shared_constants(x, y, varying)
    kept = given
    if bool(constant.any()) and min(map(len, given)) > 1:
        kept = [drop_constant_coordinates(samples, constant) for samples in given]
        warnings.append(
            f"coordinates {constant.nonzero()[:, 0].tolist()} are the same constant in both and are left out"
        )
    for samples, varies in zip(kept, varying, strict=True):
        require_rows(samples)
        require_variation(samples, varies | constant)
    return kept[0], None if y is None else kept[1], warnings + collect_warnings(kept)


def _varying(samples: Samples) -> Tensor:
    """Which coordinates vary, bool ``(d,)``."""
    return (samples.rows != samples.rows[:1]).any(0)


def _shared_constants(x: Samples, y: Samples | None, varying: Sequence[Tensor]) -> Tensor:
    """Which coordinates are the same constant in both samples, bool ``(d,)``; none for one sample."""
    if y is None:
        return torch.zeros_like(varying[0])
    return ~varying[0] & ~varying[1] & (x.rows[0] == y.rows[0])


def drop_constant_coordinates(samples: Samples, constant: Tensor) -> Samples:
    """The samples without these coordinates, which do not change a divergence if they are equal in p and q.

    Raises:
        ValueError: if no coordinate would be left.
    """
    if bool(constant.all()):
        raise ValueError("no coordinate varies: there is nothing to compare.")
    return replace(samples, rows=samples.rows[:, ~constant])


def require_rows(samples: Samples) -> None:
    """Check that there are enough rows for a covariance and for the moments of its inverse.

    Raises:
        ValueError: if there are not.
    """
    n, d = samples.rows.shape
    if n < d + 4:
        raise ValueError(
            f"{samples.name} has {n} rows of {d} coordinates: an estimate needs at least {d + 4}, and is poor below "
            f"{_ROWS_PER_COORDINATE * d}. If the densities are known, pass them; otherwise reduce the coordinates."
        )


def require_variation(samples: Samples, expected: Tensor) -> None:
    """Check that each coordinate varies, or is left out; ``expected`` says which do, in the coordinates as given.

    Raises:
        ValueError: if one does not.
    """
    stuck = (~expected).nonzero()
    if len(stuck):
        raise ValueError(
            f"{samples.name}: coordinate {int(stuck[0])} does not vary over {len(samples)} rows, and elsewhere it "
            "does: the divergence is infinite, or the coordinate does not belong. Leave it out."
        )


def collect_warnings(both: Sequence[Samples]) -> list[str]:
    """What the rows of one or two samples show that makes an estimate less reliable, in sentences."""
    return [
        *(warning for samples in both for warning in _few_rows(samples)),
        *(warning for samples in both for warning in _few_values(samples)),
        *_repeated_rows(both),
    ]


def _few_rows(samples: Samples) -> list[str]:
    n, d = samples.rows.shape
    if n >= _ROWS_PER_COORDINATE * d:
        return []
    return [f"{samples.name} has {n} rows of {d} coordinates, fewer than {_ROWS_PER_COORDINATE} for each"]


def _few_values(samples: Samples) -> list[str]:
    rows = samples.rows[:_COUNTED_ROWS].detach()
    counts = [len(torch.unique(column)) for column in rows.T]
    few = [(column, count) for column, count in enumerate(counts) if 2 * count < len(rows)]
    more = f" (and {len(few) - 1} more coordinates as few)" if len(few) > 1 else ""
    return [
        f"coordinate {column} of {samples.name} takes {count} values in {len(rows)} rows{more}: that is no density, "
        "and the estimate may mean little"
        for column, count in few[:1]
    ]


def _repeated_rows(both: Sequence[Samples]) -> list[str]:
    warnings = []
    distinct = [torch.unique(samples.rows.detach(), dim=0) for samples in both]
    for samples, rows in zip(both, distinct, strict=True):
        if len(rows) < len(samples):
            warnings.append(
                f"{len(samples) - len(rows)} of the {len(samples)} rows of {samples.name} repeat others: samples of a "
                "density do not, and estimates by neighbours are biased"
            )
    if len(both) == 2:
        shared = sum(map(len, distinct)) - len(torch.unique(torch.cat(distinct), dim=0))
        if shared:
            warnings.append(
                f"{shared} rows are in both {both[0].name} and {both[1].name}: the samples are not independent, as the "
                "standard error assumes"
            )
    return warnings


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
