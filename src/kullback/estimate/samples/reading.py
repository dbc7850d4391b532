"""What stands for samples, and what must be said of them before anything is estimated."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, ShapeError
from kullback.estimate.samples.recognition import refuse_counts, refuse_probabilities
from kullback.gaussians.moments import mean_and_scale
from kullback.gaussians.scales.matrix import Tril
from kullback.numerics.arrays import ArrayKind, from_numpy, to_tensor
from kullback.numerics.linear_algebra import solve_lower

# Narrower than this in some direction, beside both together, and the digits of the rows are used up.
_NARROWEST = 1e-7

# Rows that are looked at for coordinates which take few values.
_LOOKED_AT = 1_000

# Fewer rows than this for each coordinate: the covariance is hardly known.
_FEW = 5


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows that were drawn from a density."""

    given: Tensor  # (n, *event)
    rows: Tensor  # (n, d), float64
    name: str
    dtype: torch.dtype
    array_kind: ArrayKind
    warnings: tuple[str, ...] = ()

    @property
    def d(self) -> int:
        """How many coordinates a row has."""
        return self.rows.shape[1]

    def __len__(self) -> int:
        return len(self.rows)


def is_samples(x: Any) -> bool:
    """Is it an array of numbers, and not a density?"""
    return not callable(getattr(x, "log_prob", None)) and (
        isinstance(x, (Tensor, list, tuple)) or hasattr(x, "__array__")
    )


def as_samples(x: Any, name: str, event: torch.Size | None = None) -> Samples:
    """Rows of samples, of the shape of an event if one is known.

    Raises:
        ShapeError: unless the shape is ``(n, d)``, or ``(n,)`` for numbers.
        ValueError: for values that are NaN or infinite.
    """
    value, kind = to_tensor(x, name)
    exact = x if isinstance(x, Tensor) else from_numpy(np.asarray(x))
    if isinstance(value, Tensor) and not exact.is_floating_point():
        value = exact.double()  # the default dtype has not the digits of large integers
    if not isinstance(value, Tensor) or not value.ndim or not value.numel():
        shape = tuple(value.shape) if isinstance(value, Tensor) else ()
        raise ShapeError(f"{name}: samples are the rows of an array (n, d), got shape {shape}.")
    said = []
    shape = tuple(value.shape)
    if event is not None:
        if value.shape[1:] != event:
            one = " A torch Normal is one-dimensional: Independent(Normal(mu, std), 1)." if not event else ""
            raise ShapeError(
                f"{name} has samples of shape {shape[1:]}, the density has event shape {tuple(event)}.{one}"
            )
    elif value.ndim == 1:
        said.append(f"{name} has one dimension: taken as {len(value)} samples of one number")
    elif value.ndim > 2:
        raise ShapeError(
            f"{name} has shape {shape}: samples are the rows of an array (n, d). For a batch of samples call for each; "
            "for images flatten them: x.reshape(len(x), -1)."
        )
    bad = ~torch.isfinite(value.detach())
    if bool(bad.any()):
        at = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}{at} is {float(value.detach()[tuple(at)])}: samples are finite numbers.")
    refuse_probabilities(value.detach(), name)
    # Numbers beyond the digits of their type are all whole.
    if bool(
        ((value.detach() == value.detach().round()) & (value.detach().abs() * torch.finfo(value.dtype).eps < 1)).all()
    ):
        said.append(f"{name} holds whole numbers, which have no density: an estimate takes them for rounded ones")
    dtype = value.dtype if value.dtype in (torch.float32, torch.float64) else torch.float32
    return Samples(value, value.reshape(len(value), -1).double(), name, dtype, kind, tuple(said))


def comparable(x: Samples, y: Samples | None) -> tuple[Samples, Samples | None, list[str]]:
    """Samples whose covariances can be used, with what is to be said of them.

    Coordinates that are the same constant in both are left out.

    Raises:
        ShapeError: if the coordinates are not equally many.
        ValueError: if there are too few rows, or one has a coordinate that does not vary.
        NotPositiveDefinite: if coordinates depend on each other linearly.
    """
    sides = [x] if y is None else [x, y]
    said = [warning for side in sides for warning in side.warnings]
    if y is not None and x.d != y.d:
        raise ShapeError(
            f"{x.name} has {x.d} coordinates, {y.name} has {y.d}: {tuple(x.rows.shape)}, {tuple(y.rows.shape)}."
        )
    if y is not None:
        refuse_counts(x.rows.detach(), y.rows.detach())
    varies = [(side.rows != side.rows[:1]).any(0) for side in sides]
    constant = torch.zeros_like(varies[0])
    if y is not None:
        constant = ~varies[0] & ~varies[1] & (x.rows[0] == y.rows[0])
        if len(x) > 1 and len(y) > 1 and bool(constant.all()):
            raise ValueError("no coordinate varies: there is nothing to compare.")
        if len(x) > 1 and len(y) > 1 and bool(constant.any()):
            said.append(
                f"coordinates {constant.nonzero()[:, 0].tolist()} are the same constant in both and are left out"
            )
            sides = [x, y] = [replace(s, rows=s.rows[:, ~constant]) for s in sides]
    for side, vary in zip(sides, varies, strict=True):
        n, d = side.rows.shape
        if n < d + 4:
            raise ValueError(
                f"{side.name} has {n} rows of {d} coordinates: an estimate needs at least {d + 4}, and is poor below "
                f"{_FEW * d}. If the densities are known, pass them; else reduce the coordinates."
            )
        stuck = ~vary & ~constant
        if bool(stuck.any()):
            raise ValueError(
                f"{side.name}: coordinate {int(stuck.nonzero()[0])} does not vary over {n} rows, and elsewhere it "
                "does: the divergence is infinite, or the coordinate does not belong. Leave it out."
            )
        if n < _FEW * d:
            said.append(f"{side.name} has {n} rows of {d} coordinates, fewer than {_FEW} for each")
    said += [warning for side in sides for warning in _of_few_values(side)] + _repeated(sides)
    return x, y, said


def _of_few_values(side: Samples) -> list[str]:
    rows = side.rows[:_LOOKED_AT].detach()
    counts = [len(torch.unique(column)) for column in rows.T]
    few = [(column, count) for column, count in enumerate(counts) if 2 * count < len(rows)]
    more = f" (and {len(few) - 1} more coordinates as few)" if len(few) > 1 else ""
    return [
        f"coordinate {column} of {side.name} takes {count} values in {len(rows)} rows{more}: that is no density, and "
        "the estimate may mean little"
        for column, count in few[:1]
    ]


def _repeated(sides: list[Samples]) -> list[str]:
    said = []
    distinct = [torch.unique(side.rows.detach(), dim=0) for side in sides]
    for side, rows in zip(sides, distinct, strict=True):
        if len(rows) < len(side):
            said.append(
                f"{len(side) - len(rows)} of the {len(side)} rows of {side.name} repeat others: samples of a density "
                "do not, and estimates by neighbours are off"
            )
    if len(sides) == 2:
        shared = sum(map(len, distinct)) - len(torch.unique(torch.cat(distinct), dim=0))
        if shared:
            said.append(
                f"{shared} rows are in both {sides[0].name} and {sides[1].name}: the samples are not independent, as "
                "the error assumes"
            )
    return said


def whitened(x: Samples, y: Samples | None) -> tuple[Tensor, Tensor | None, Tensor]:
    """Both in coordinates in which all rows together have the identity as covariance, and the log-determinant of the
    factor that was taken out. Divergences are the same there, and distances mean something.
    """
    sides = [x] if y is None else [x, y]
    found = [_moments(side) for side in sides]
    mean, factor = found[0] if y is None else _factor_of(torch.cat([x.rows, y.rows]))
    moved = [solve_lower(factor, (side.rows - mean).mT).mT for side in sides]
    for side, rows in zip(sides, moved, strict=True):
        spread = torch.linalg.eigvalsh(torch.atleast_2d(rows.detach().mT.cov()))[0].clamp(min=0.0).sqrt()
        if not spread > _NARROWEST:
            raise ValueError(
                f"{side.name} is spread {float(spread):.1g} times as far in some direction as both samples together: "
                "too little to tell its rows apart. If the densities are known, pass them."
            )
    return moved[0], moved[1] if y is not None else None, factor.diagonal().log().sum()


def _moments(side: Samples) -> tuple[Tensor, Tensor]:
    try:
        return _factor_of(side.rows)
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(f"{side.name}: {error}") from None


def _factor_of(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean, and the factor of the covariance."""
    mean, scale = mean_and_scale(rows.detach(), full=True)
    assert isinstance(scale, Tril)
    return mean, scale.tril()
