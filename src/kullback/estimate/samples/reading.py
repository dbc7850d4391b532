"""Samples as rows of numbers, read from what the caller passed."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.estimate.samples.inference_data import holds_draws
from kullback.estimate.samples.recognition import refuse_probabilities
from kullback.interop.registry import convert
from kullback.numerics.arrays import ArrayKind, to_tensor
from kullback.numerics.foreign_arrays import is_array

# Of fewer significant digits than any measurement is computed with.
HALF = (torch.float16, torch.bfloat16)

# The fewest draws for each chain by which an array is taken for chains, and not for images or a batch.
_DRAWS_OF_A_CHAIN = 10


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples of one density."""

    values: Tensor  # (n, *event), as given
    rows: Tensor  # (n, d), float64
    name: str
    dtype: torch.dtype
    array_kind: ArrayKind
    warnings: tuple[str, ...] = ()
    n_chains: int = 1
    """The rows are those of one chain after those of another, all of the same length."""
    inflation: float = 1.0
    """The variance of an average over the rows, relative to that over independent rows."""
    given: int | None = None
    """How many rows were given, if they were thinned."""

    @property
    def d(self) -> int:
        """The number of coordinates."""
        return self.rows.shape[1]

    def __len__(self) -> int:
        return len(self.rows)


def is_samples(x: Any) -> bool:
    """Whether ``x`` is an array of numbers or holds named draws, and not a density or a list of Gaussians."""
    if isinstance(x, (list, tuple)):
        return not x or convert(x[0], "x") is None
    return (is_array(x) or holds_draws(x)) and not callable(getattr(x, "log_prob", None))


def as_samples(x: Any, name: str, event: torch.Size | None = None) -> Samples:
    """``x`` as samples, of the given event shape if it is known.

    Raises:
        ShapeError: unless the shape is ``(n, *event)`` or ``(chains, draws, *event)``; or ``(n, d)``, ``(n,)`` or
            ``(chains, draws, d)`` for an unknown event shape.
        ValueError: for values that are NaN or infinite, and for probabilities.
        TypeError: for an array that does not hold real numbers.
    """
    # The default dtype may not hold large integers exactly.
    value, kind = to_tensor(x, name, integers=torch.float64)
    if not isinstance(value, Tensor) or not value.ndim or not value.numel():
        shape = tuple(value.shape) if isinstance(value, Tensor) else ()
        raise ShapeError(f"{name}: samples are the rows of an array (n, d), got shape {shape}.")
    n_chains, warnings = _n_chains(value, name, event), []
    if n_chains is not None:
        if event is None:
            warnings.append(f"{name} is taken as {value.shape[0]} chains of {value.shape[1]:,} draws")
        value = value.flatten(0, 1)
    _require_finite(value.detach(), name)
    refuse_probabilities(value.detach(), name)
    if event is None and value.ndim == 1:
        warnings.append(f"{name} has one dimension: taken as {len(value)} samples of one number")
    if _holds_whole_numbers(value.detach()):
        warnings.append(
            f"{name} holds whole numbers, which have no density: the estimate is that of numbers that were rounded"
        )
    dtype = torch.float32 if value.dtype in HALF else value.dtype
    rows = value.reshape(len(value), -1).double()
    return Samples(value, rows, name, dtype, kind, tuple(warnings), n_chains or 1)


def _n_chains(x: Tensor, name: str, event: torch.Size | None) -> int | None:
    """The number of chains, or None for rows without any.

    Raises:
        ShapeError: if the shape is none of samples.
    """
    shape = tuple(x.shape)
    if event is None:
        if x.ndim <= 2:
            return None
        if x.ndim == 3 and shape[1] >= _DRAWS_OF_A_CHAIN * shape[0] and shape[1] > shape[2]:
            return shape[0]
        draws_first = x.ndim == 3 and shape[0] >= _DRAWS_OF_A_CHAIN * shape[1]
        swapped = f" If these are draws of {shape[1]} chains: {name}.swapaxes(0, 1)." if draws_first else ""
        raise ShapeError(
            f"{name} has shape {shape}: samples are the rows of an array (n, d), or chains (chains, draws, d) with at "
            f"least {_DRAWS_OF_A_CHAIN} times as many draws as chains, and more than coordinates. For a batch of "
            "samples call for each; for images flatten them: x.reshape(len(x), -1). Chains of few draws are named in "
            f"xarray, or are the rows of one array.{swapped}"
        )
    if x.shape[1:] == event:
        return None
    if len(event) and x.shape[2:] == event:
        return shape[0]
    hint = " A torch Normal is one-dimensional: Independent(Normal(mu, std), 1)." if not event else ""
    raise ShapeError(f"{name} has samples of shape {shape[1:]}, the density has event shape {tuple(event)}.{hint}")


def _require_finite(x: Tensor, name: str) -> None:
    bad = ~torch.isfinite(x)
    if bool(bad.any()):
        at = bad.nonzero()[0].tolist()
        raise ValueError(f"{name}{at} is {float(x[tuple(at)])}: samples are finite numbers. Leave such rows out.")


def _holds_whole_numbers(x: Tensor) -> bool:
    """Whether all values are whole although their dtype could represent fractions of their size."""
    return bool(((x == x.round()) & (x.abs() * torch.finfo(x.dtype).eps < 1)).all())
