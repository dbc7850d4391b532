"""The dtype, device and shape of tensors that meet, and the context in which a formula computes on them."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError

_NOTHING = contextlib.nullcontext()

# Asked once, here: torch.compile of torch 2.10 and older cannot trace the question.
_AUTOCAST_DEVICES = frozenset(
    name
    for name in ("cpu", "cuda", "xpu", "mps", "hpu", "mtia", "xla", "privateuseone")
    if torch.amp.is_autocast_available(name)
)


def result_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """The dtype that tensors promote to; those without dimensions count only where no other tensor is."""
    dtypes = [x.dtype for x in tensors if x.ndim] or [x.dtype for x in tensors]
    if not dtypes:
        return torch.get_default_dtype()
    result = dtypes[0]
    for dtype in dtypes[1:]:
        if dtype is not result:
            result = torch.promote_types(result, dtype)
    return result


def compute_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """The dtype that tensors are computed in together: never less than float32."""
    dtype = result_dtype(tensors)
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def common_device(tensors: Sequence[Tensor]) -> torch.device:
    """The one device that tensors are on. Those without dimensions may come from the CPU, as in torch.

    Raises:
        ValueError: if they are on several devices.
    """
    devices = {x.device for x in tensors if x.ndim} or {x.device for x in tensors}
    if len(devices) > 1:
        raise ValueError(f"tensors are on {' and '.join(sorted(map(str, devices)))}. Move one with p.to(device).")
    return devices.pop() if devices else torch.get_default_device()


def broadcast_shapes(*shapes: Sequence[int], error: Callable[[], str] | None = None) -> torch.Size:
    """The shape that these broadcast to.

    As ``torch.broadcast_shapes``, which at its first call imports a computer algebra system: a third of a second.

    Raises:
        ShapeError: with the message that ``error`` gives, if they do not broadcast.
    """
    distinct = set(map(tuple, shapes)) - {()}
    if len(distinct) < 2:
        return torch.Size(distinct.pop() if distinct else ())
    result = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wanted = [n for n in sizes if n != 1]
        size = wanted[0] if wanted else 1
        if [n for n in wanted if n != size]:
            listed = ", ".join(str(tuple(shape)) for shape in shapes)
            raise ShapeError(error() if error else f"shapes do not broadcast: {listed}.")
        result.append(size)
    return torch.Size(reversed(result))


def can_broadcast(*shapes: Sequence[int]) -> bool:
    """Whether these shapes broadcast."""
    try:
        broadcast_shapes(*shapes)
    except ShapeError:
        return False
    return True


def constant(x: float, like: Tensor) -> Tensor:
    """A number as a tensor like another one, which nobody may change."""
    if like.is_cuda and torch.cuda.is_current_stream_capturing():
        # Its value will be there when the graph is replayed, and only then.
        return torch.full((), x, dtype=like.dtype, device=like.device)
    return _kept_constant(x, like.dtype, like.device)


@functools.lru_cache(maxsize=64)
def _kept_constant(x: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    # An inference tensor could not be saved for a backward pass later.
    with torch.inference_mode(mode=False):
        return torch.full((), x, dtype=dtype, device=device)


def no_autocast(device: torch.device) -> Any:
    """The context in which a formula runs: autocast would take it to half precision behind the caller's back."""
    kind = device.type if device.type in _AUTOCAST_DEVICES else "cpu"
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else _NOTHING


def expand_event(x: Tensor, event: torch.Size) -> Tensor:
    """``x`` with the dimensions of the event at its end, where one number stood for all coordinates."""
    if x.ndim >= len(event) and x.shape[x.ndim - len(event) :] == event:
        return x
    return x.broadcast_to(broadcast_shapes(x.shape, event))


def sum_event(terms: Tensor, event_dims: int) -> Tensor:
    """The sum over the last ``event_dims`` dimensions (over none of them: the terms themselves)."""
    return terms.sum(tuple(range(-event_dims, 0))) if event_dims else terms
