"""What Gaussians that meet have in common: dtype, device, kind of array; and how a formula on them runs."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from kullback.gaussian import Gaussian
    from kullback.mixture import Mixture


def common_dtype(gaussians: "Sequence[Gaussian]", *, half: bool = False) -> torch.dtype:
    """The dtype that Gaussians are computed in together: never less than float32, unless ``half``."""
    tensors = [x for g in gaussians for x in g.tensors()]
    dtype = _result_type(tensors)
    return dtype if half else _at_least_float32(dtype)


def compute_dtype(tensors: Sequence[Tensor]) -> torch.dtype:
    """The dtype that tensors are computed in together."""
    return _at_least_float32(_result_type(tensors))


def common_device(gaussians: "Sequence[Gaussian]") -> torch.device:
    """The one device that Gaussians are on. Tensors without dimensions may come from the CPU, as in torch."""
    tensors = [x for g in gaussians for x in g.tensors()]
    devices = {x.device for x in tensors if x.ndim} or {x.device for x in tensors}
    if len(devices) > 1:
        raise ValueError(f"tensors are on {' and '.join(sorted(map(str, devices)))}. Move one with p.to(device).")
    return devices.pop() if devices else torch.get_default_device()


def common_kind(gaussians: "Sequence[Gaussian | Mixture]") -> bool | None:
    """Are all of them NumPy? None if none of them says."""
    kinds = [g.numpy for g in gaussians if g.numpy is not None]
    return all(kinds) if kinds else None


def broadcast_shapes(*shapes: Sequence[int]) -> torch.Size:
    """The shape that these broadcast to; a RuntimeError if they do not.

    As ``torch.broadcast_shapes``, which at its first call imports a computer algebra system: a third of a second.
    """
    result = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        size = next((n for n in sizes if n != 1), 1)
        if any(n not in (1, size) for n in sizes):
            raise RuntimeError(f"shapes do not broadcast: {', '.join(str(tuple(shape)) for shape in shapes)}")
        result.append(size)
    return torch.Size(reversed(result))


def _result_type(tensors: Sequence[Tensor]) -> torch.dtype:
    dtypes = [x.dtype for x in tensors if x.ndim] or [x.dtype for x in tensors]
    if not dtypes:
        return torch.get_default_dtype()
    result = dtypes[0]
    for dtype in dtypes[1:]:
        result = torch.promote_types(result, dtype)
    return result


def _at_least_float32(dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def no_autocast(device: torch.device) -> Any:
    """The context in which a formula runs: autocast would take it to half precision behind the caller's back."""
    if not torch.amp.is_autocast_available(device.type):
        device = torch.device("cpu")
    return torch.autocast(device.type, enabled=False)


def sum_event(terms: Tensor, event_dims: int) -> Tensor:
    """The sum over the last ``event_dims`` dimensions (over none of them: the terms themselves)."""
    return terms.sum(tuple(range(-event_dims, 0))) if event_dims else terms
