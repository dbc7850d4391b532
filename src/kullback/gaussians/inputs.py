"""What the constructors of :class:`~kullback.Gaussian` are given, converted and checked: means and scales."""

import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.errors import NotPositiveDefinite, ShapeError
from kullback.gaussians.rotations import factor_of
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal, Isotropic, Parameterization
from kullback.gaussians.scales.low_rank import LowRank
from kullback.gaussians.shapes import fitted_scale
from kullback.gaussians.singular import scale_of_factor
from kullback.gaussians.validation import (
    Advice,
    check_finite,
    check_matrix_shape,
    check_mean,
    check_scale_values,
    shape_of,
)
from kullback.numerics.arrays import FLOATING, ArrayKind, common_array_kind, to_tensor
from kullback.numerics.labels import check_order
from kullback.numerics.tensors import broadcast_shapes, common_device, compute_dtype


class Given(NamedTuple):
    """A mean and a scale that fit each other, and what the caller works with; a number for a mean beside a number."""

    mean: Tensor | float
    scale: Scale
    kind: ArrayKind


def diagonal(
    mean: Any, scale: Any, parameterization: Parameterization, event_dims: Any, *, validate: bool | None
) -> Given:
    """A mean and a diagonal scale.

    Raises as :meth:`Gaussian.from_std` does.
    """
    if _are_plain(mean, scale, event_dims):
        check_mean(mean, validate=validate)
        check_scale_values(scale, parameterization, validate=validate)
        return Given(mean, Diagonal(scale, parameterization), ArrayKind.TORCH)
    location, kind = to_tensor(mean, "mean")
    value, scale_kind = to_tensor(scale, parameterization)
    dims = location.ndim if isinstance(location, Tensor) else 0
    check_order(mean, scale, "mean", parameterization, _paired(dims))
    event_dims = whole_number(event_dims, "event_dims")
    if dims == 0 and event_dims == 1 and not (isinstance(value, Tensor) and value.ndim):
        event_dims = 0  # one number beside one number is a one-dimensional Gaussian
    if event_dims > dims:
        raise ShapeError(
            f"from_{parameterization} got a mean of shape {shape_of(location)} and event_dims={event_dims}: "
            f"a mean has at least event_dims dimensions. For independent one-dimensional Gaussians, event_dims=0."
        )
    event = location.shape[dims - event_dims :] if isinstance(location, Tensor) else torch.Size()
    check_mean(location, validate=validate)
    check_scale_values(value, parameterization, validate=validate)
    value = fitted_scale(location, value, event, parameterization)
    kind = common_array_kind((kind, scale_kind))
    if not isinstance(value, Tensor):
        return Given(location, Isotropic(value, parameterization), kind)
    return Given(_beside(location, value, ()), Diagonal(value, parameterization), kind)


def mean_and_matrix(
    mean: Any, matrix: Any, name: str, *, validate: bool | None, square: bool = True
) -> tuple[Tensor, Tensor, ArrayKind]:
    """A mean ``(*batch, d)`` and a matrix with d rows; ``name`` is the constructor's argument.

    Raises as :meth:`Gaussian.from_covariance` does.
    """
    location, kind = to_tensor(mean, "mean")
    value, matrix_kind = to_tensor(matrix, name)
    rows = _paired(location.ndim, rows=True) if isinstance(location, Tensor) else []
    check_order(mean, matrix, "mean", name, [*rows, (-1, -1)] if square else rows)
    value = check_matrix_shape(location, value, name, square=square)
    check_mean(location, validate=validate)
    return _beside(location, value, value.shape[-2:-1]), value, common_array_kind((kind, matrix_kind))


_OF_VARIANCE = Advice(
    "from_low_rank: variance has",
    negative=" Is it a log-variance? Pass its exponential.",
    zeros=" For the covariance of the factor alone: variance=0.0, the number, or from_factor(mean, factor). Where some "
    "are 0: from_factor(mean, torch.cat([factor, torch.diag_embed(variance.sqrt())], -1), singular=True).",
)


def low_rank(mean: Any, factor: Any, variance: Any, *, validate: bool | None) -> tuple[Tensor, Scale, ArrayKind]:
    """A mean, and a factor and variances as a scale.

    Raises as :meth:`Gaussian.from_low_rank` does.
    """
    location, matrix, kind = mean_and_matrix(mean, factor, "factor", validate=validate, square=False)
    check_finite(matrix, "factor", validate=validate)
    value, variance_kind = to_tensor(variance, "variance")
    if isinstance(value, Tensor):
        check_order(mean, variance, "mean", "variance", _paired(value.ndim))
        check_order(variance, factor, "variance", "factor", _paired(value.ndim, rows=True))
    if not isinstance(value, Tensor) and value == 0:
        return location, scale_of_factor(matrix), common_array_kind((kind, variance_kind))
    check_scale_values(value, "variance", validate=validate, advice=_OF_VARIANCE)
    for beside in (location, torch.empty(matrix.shape[:-1], device="meta")):
        value = fitted_scale(beside, value, matrix.shape[-2:-1], "variance")
    if not isinstance(value, Tensor):
        value = torch.full((), value, dtype=matrix.dtype, device=matrix.device)
    if not value.ndim:
        value = value.to(matrix).expand(matrix.shape[-2:-1])
    return location, LowRank(matrix, value), common_array_kind((kind, variance_kind))


_OF_SCALE = Advice(
    "from_rotation_scale: scale has",
    negative=" Is it a logarithm? Then log_scale=.",
    zeros=" Did an exponential underflow? Pass its argument: log_scale=. Is it flat, as a surfel? Then singular=True.",
    infinite=" Did an exponential overflow? Pass its argument: log_scale=.",
)
_OF_LOG_SCALE = Advice("from_rotation_scale: log_scale has", negative="")


def rotation_scale(
    mean: Any, rotation: Any, scale: Any, log_scale: Any, *, singular: bool, validate: bool | None
) -> tuple[Tensor, ArrayKind]:
    """The factor of a rotation and scales, or their logarithms, beside a mean.

    Raises as :meth:`Gaussian.from_rotation_scale` does.
    """
    if (scale is None) == (log_scale is None):
        raise TypeError("from_rotation_scale takes one of scale and log_scale.")
    given, name = (scale, "scale") if log_scale is None else (log_scale, "log_scale")
    along, kind = to_tensor(given, name)
    turn, turn_kind = to_tensor(rotation, "rotation")
    if not (isinstance(along, Tensor) and along.ndim and isinstance(turn, Tensor)):
        raise ShapeError(f"{name} has the shape (*batch, d), got {shape_of(along)}.")
    check_order(mean, given, "mean", name, _paired(along.ndim))
    if turn.shape[-2:] == 2 * along.shape[-1:]:
        check_order(mean, rotation, "mean", "rotation", _paired(turn.ndim - 1, rows=True))
        check_order(rotation, given, "rotation", name)
    if log_scale is None:
        checked = torch.where(along == 0, 1.0, along) if singular else along
        check_scale_values(checked, "std", validate=validate, advice=_OF_SCALE)
    else:
        check_scale_values(along, "log_std", validate=validate, advice=_OF_LOG_SCALE)
        along = along.exp()
    return factor_of(turn, along, validate=validate), common_array_kind((kind, turn_kind, to_tensor(mean, "mean")[1]))


def _paired(dims: int, *, rows: bool = False) -> list[tuple[int, int]]:
    """The axes of so many dimensions beside those of the same ones, or beside those of the rows of matrices."""
    return [(-i - 1, -i - 2 if rows else -i - 1) for i in range(dims)]


def _are_plain(mean: Any, scale: Any, event_dims: Any) -> bool:
    """Two floating tensors of one shape: what training loops pass, and nothing to convert or to complain of."""
    return (
        type(mean) is Tensor
        and type(scale) is Tensor
        and mean.shape == scale.shape
        and mean.dtype in FLOATING
        and scale.dtype in FLOATING
        and type(event_dims) is int
        and 0 <= event_dims <= mean.ndim
    )


def _beside(mean: Tensor | float, scale: Tensor, event: Sequence[int]) -> Tensor:
    """A mean that is a number as a tensor like the scale, for each coordinate."""
    if isinstance(mean, Tensor):
        return mean
    return torch.full((), mean, dtype=scale.dtype, device=scale.device).expand(*event)


def points(x: Any, event: torch.Size) -> tuple[Tensor, ArrayKind]:
    """Points at which a density is asked for, ``(..., *event)``, and what they were given as.

    Raises:
        ShapeError: for points of another shape.
    """
    point, kind = to_tensor(x, "x")
    if not isinstance(point, Tensor) and not event:
        point = torch.tensor(point)
    if not isinstance(point, Tensor) or point.shape[point.ndim - len(event) :] != event:
        raise ShapeError(f"log_prob got x of shape {shape_of(point)} for event shape {tuple(event)}.")
    return point, kind


def affine_map(
    matrix: Any, shift: Any, event: torch.Size, batch: torch.Size, tensors: Sequence[Tensor]
) -> tuple[Tensor, Tensor | None, ArrayKind]:
    """A matrix and a shift for Gaussians of these shapes and tensors, in the dtype that all are computed in.

    Raises as :meth:`Gaussian.affine` does.
    """
    a, kind = to_tensor(matrix, "A")
    b, shift_kind = (None, ArrayKind.ANY) if shift is None else to_tensor(shift, "b")
    if len(event) != 1:
        raise ShapeError(f"affine takes Gaussians with one event dimension, got event shape {tuple(event)}.")
    if not isinstance(a, Tensor) or a.ndim < 2 or a.shape[-1] != event[0]:
        raise ShapeError(f"A must have shape (*batch, k, {event[0]}), got {shape_of(a)}.")
    k = a.shape[-2]
    if k > event[0]:
        raise NotPositiveDefinite(
            f"A has {k} rows for {event[0]} coordinates: A x lies in a subspace and has no density."
        )
    if b is not None and shape_of(b)[-1:] != (k,):
        raise ShapeError(f"b must have shape (*batch, {k}), got {shape_of(b)}.")
    shift_batch = b.shape[:-1] if isinstance(b, Tensor) else torch.Size()
    broadcast_shapes(
        batch, a.shape[:-2], shift_batch,
        error=lambda: (
            f"the batches of the Gaussians {tuple(batch)}, of A {tuple(a.shape[:-2])} and of b {tuple(shift_batch)} "
            "do not broadcast."
        ),
    )  # fmt: skip
    like = [*tensors, a, *([b] if isinstance(b, Tensor) else [])]
    dtype, device = compute_dtype(like), common_device(like)
    moved = b.to(device=device, dtype=dtype) if isinstance(b, Tensor) else None
    return a.to(device=device, dtype=dtype), moved, common_array_kind((kind, shift_kind))


def whole_number(n: Any, what: str) -> int:
    """``n`` as an integer from 0 up.

    Raises:
        TypeError: for anything else, booleans among it.
    """
    try:
        count = -1 if isinstance(n, bool) else operator.index(n)
    except TypeError:
        count = -1
    if count < 0:
        got = f"{type(n).__name__} of shape {tuple(n.shape)}" if hasattr(n, "shape") else repr(n)
        raise TypeError(f"{what} is a whole number from 0 up, got {got}.")
    return count
