"""Checks of one or two samples, and the warnings about them."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.estimate.samples.chains import SHUFFLE
from kullback.estimate.samples.neighbours import NO_DENSITY
from kullback.estimate.samples.reading import Samples
from kullback.estimate.samples.rounding import spread

# Rows in which the distinct values of each coordinate are counted.
_COUNTED_ROWS = 1_000

# With fewer rows than this for each coordinate, the covariance is poorly known.
_ROWS_PER_COORDINATE = 5


def check_samples(
    x: Samples, y: Samples | None, generator: torch.Generator | None
) -> tuple[Samples, Samples | None, list[str]]:
    """The samples without coordinates that are the same constant in both, and all warnings about them.

    Args:
        x: samples.
        y: others, if there are.
        generator: of the numbers that spread rounded values; None for a method that does without distances.

    Raises:
        ShapeError: if the numbers of coordinates differ.
        ValueError: if there are too few rows, or if a coordinate does not vary.
    """
    given = [x] if y is None else [x, y]
    warnings = [warning for samples in given for warning in samples.warnings]
    if y is not None and x.d != y.d:
        raise ShapeError(
            f"{x.name} has {x.d} coordinates, {y.name} has {y.d}: they have the shapes {tuple(x.rows.shape)} and "
            f"{tuple(y.rows.shape)}."
        )
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
    if generator is not None:
        kept, said = spread(kept, generator)
        warnings += said
        for samples in kept:
            require_density(samples)
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
    if n < d + 4 and samples.given is not None:
        raise ValueError(
            f"{samples.name} has {samples.given:,} autocorrelated rows of {d} coordinates, of which about {n} are "
            f"independent: an estimate needs at least {d + 4}. {SHUFFLE}; otherwise take more draws."
        )
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
            f"{samples.name}: coordinate {int(stuck[0])} does not vary over {len(samples)} rows, so that it has "
            "no density: a divergence is infinite, unless the coordinate does not belong. Leave it out."
        )


def require_density(samples: Samples) -> None:
    """Check that most rows are met once.

    Raises:
        ValueError: if they are not.
    """
    repeats = len(samples) - len(torch.unique(samples.rows.detach(), dim=0))
    if 2 * repeats > len(samples):
        raise ValueError(f"{repeats} rows have an equal one in {samples.name}, at distance 0: {NO_DENSITY}")


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
