"""What a constructor checks: shapes always, values once and where looking is free."""

import math

import torch
from torch import Tensor

from kullback.concrete import has_visible_values
from kullback.errors import ShapeError
from kullback.scale import Parameterisation


def check_scale_shape(location: Tensor | float, value: Tensor | float, event: torch.Size, given: str) -> None:
    """Raise a ShapeError unless the scale has the event of the mean and a batch that broadcasts."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return
    shape = value.shape[max(value.ndim - len(event), 0) :]
    if shape != event:
        raise ShapeError(
            f"mean has event shape {tuple(event)}, {given} has {tuple(shape)} (mean {shape_of(location)}, {given} "
            f"{shape_of(value)}). Events do not broadcast"
            + (f"; one scale for all of a row's coordinates: {given}.expand(...)." if 1 in shape else ".")
        )
    if isinstance(location, Tensor) and value.shape != location.shape:
        try:
            torch.broadcast_shapes(location.shape, value.shape)
        except RuntimeError:
            raise ShapeError(
                f"batches do not broadcast: mean is {shape_of(location)}, {given} is {shape_of(value)}."
            ) from None


def check_scale_values(value: Tensor | float, given: Parameterisation, *, validate: bool | None) -> None:
    """Raise a ValueError unless every scale is positive and finite."""
    if not isinstance(value, Tensor):
        if validate is False:
            return
        value = torch.tensor(value, dtype=torch.float64)
    if value.numel() == 0 or not should_validate(value, validate=validate):
        return
    lowest, highest = (x.item() for x in torch.aminmax(value.detach()))
    positive = math.isfinite(lowest) if given == "logvar" else lowest > 0
    if not (positive and math.isfinite(highest)):
        raise ValueError(f"from_{given} got {_describe(value.detach(), given)}")


def _describe(value: Tensor, given: Parameterisation) -> str:
    """What is wrong with the values of a scale, and where: the end of a sentence."""

    def at(mask: Tensor) -> str:
        return f"at {mask.nonzero()[0].tolist()}" if mask.ndim else "as the number given"

    if value.isnan().any():
        return f"NaN ({at(value.isnan())})."
    if value.isinf().any():
        return f"an infinite value ({at(value.isinf())})."
    lowest = value.amin()
    if lowest < 0:
        hint = "Is it a log-variance? Then use from_logvar."
        return f"negative values (min {lowest.item():.4g} {at(value == lowest)}). {hint}"
    return f"zeros ({at(value == 0)}). A {given} is positive. If this is a covariance matrix, pass its diagonal."


def shape_of(x: Tensor | float) -> tuple[int, ...]:
    """The shape of a tensor, or of a number."""
    return tuple(x.shape) if isinstance(x, Tensor) else ()


def should_validate(x: Tensor, *, validate: bool | None) -> bool:
    """``validate=None`` looks where looking is free (CPU), ``True`` wherever there is something to see."""
    if validate is False or not has_visible_values(x):
        return False
    return validate is True or x.device.type == "cpu"
