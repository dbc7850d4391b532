"""How the shape of a scale fits that of a mean, and what to write where it does not."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.gaussians.validation import batches, shape_of
from kullback.numerics.tensors import broadcast_shapes


def fitted_scale(mean: Tensor | float, value: Tensor | float, event: torch.Size, name: str) -> Tensor | float:
    """The scale with the event of the mean. One number for each row, ``(*batch, 1)``, becomes a view of that shape.

    Raises:
        ShapeError: unless the scale has the event of the mean, or one number for each row, and the batches broadcast.
    """
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    if isinstance(mean, Tensor) and value.shape != mean.shape[max(mean.ndim - value.ndim, 0) :]:
        _check_scale_beside(mean, value, event, name)
    batch = value.shape[: max(value.ndim - len(event), 0)]
    return value if value.shape[len(batch) :] == event else value.expand(batch + event)


def _check_scale_beside(mean: Tensor, value: Tensor, event: torch.Size, name: str) -> None:
    """Raise a ShapeError for a scale that is neither of the event of the mean, nor one number for each row."""
    outer = max(value.ndim - len(event), 0)
    batch, shape = value.shape[:outer], value.shape[outer:]
    # Beside one mean, a column may be meant for its coordinates or for as many Gaussians.
    is_column = batch.numel() > 1 and value.ndim > mean.ndim
    if shape != event and (is_column or any(n != 1 for n in shape)):
        raise ShapeError(
            f"mean has event shape {tuple(event)}, {name} has {tuple(shape)} (mean {shape_of(mean)}, {name} "
            f"{shape_of(value)}). Events do not broadcast.{_ways_to_fit(mean, value, event, name)}"
        )
    broadcast_shapes(mean.shape, value.shape, error=lambda: batches(mean, value, name))


def _ways_to_fit(mean: Tensor, value: Tensor, event: torch.Size, name: str) -> str:
    """What may have been meant by a scale whose shape does not fit the mean, and how to write it."""
    batch, sizes = mean.shape[: mean.ndim - len(event)], tuple(value.shape)
    ways = []
    if batch.numel() > 1 and _without_ones_behind(sizes) == _without_ones_behind(batch):
        column = (
            f"[:{', None' * len(event)}]" if len(sizes) == 1 else f".reshape({_sizes((*batch, *[1] * len(event)))})"
        )
        ways.append(f"one {name} for each row: {name}{column}")
    if event == (1,) and sizes == mean.shape[-2:-1]:
        ways.append(f"one Gaussian of {sizes[0]} coordinates: mean[..., 0]")
    if sizes == (*event, 1):
        ways.append(f"one {name} for each coordinate: {name}[..., 0]")
    if len(sizes) > mean.ndim and set(sizes[len(sizes) - len(event) :]) == {1}:
        whole = (*sizes[: len(sizes) - len(event)], *event)
        ways.append(f"one {name} for each of several Gaussians: {name}.expand({_sizes(whole)})")
    if not ways and (call := expansion(name, sizes, event)):
        ways.append(f"one {name} for several coordinates: {call}")
    return f" For {', or for '.join(ways)}." if ways else ""


def expansion(name: str, shape: Sequence[int], event: Sequence[int], *, of_numpy: bool = False) -> str | None:
    """The expression that expands ``name``, of this shape, over an event: of one number for each channel (the first
    dimension of the event), or of a shape that broadcasts. None if there is no such reading.
    """
    sizes, target = tuple(shape), tuple(event)
    channels = (*target[:1], *[1] * (len(target) - 1))
    if _without_ones(sizes) == target[:1] and len(target) > 1:
        return _expanded(name, sizes, channels, target, of_numpy=of_numpy)
    outer = max(len(sizes) - len(target), 0)
    own = sizes[outer:]
    if all(n in (1, m) for n, m in zip(reversed(own), reversed(target), strict=False)):
        return _expanded(name, sizes, sizes, (*sizes[:outer], *target), of_numpy=of_numpy)
    padded = own + (1,) * (len(target) - len(own))
    if not outer and all(n in (1, m) for n, m in zip(padded, target, strict=True)):
        return _expanded(name, sizes, padded, target, of_numpy=of_numpy)
    return None


def _expanded(
    name: str, given: tuple[int, ...], reshaped: tuple[int, ...], whole: tuple[int, ...], *, of_numpy: bool
) -> str:
    x = name if given == reshaped else f"{name}.reshape({_sizes(reshaped)})"
    return f"np.broadcast_to({x}, {whole})" if of_numpy else f"{x}.expand({_sizes(whole)})"


def _without_ones(sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for n in sizes if n != 1)


def _without_ones_behind(sizes: Sequence[int]) -> tuple[int, ...]:
    kept = tuple(sizes)
    while kept and kept[-1] == 1:
        kept = kept[:-1]
    return kept


def _sizes(sizes: Sequence[int]) -> str:
    return ", ".join(map(str, sizes))
