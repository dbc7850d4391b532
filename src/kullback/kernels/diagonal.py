"""What the kernels compute on, of pairs of diagonals."""

import functools

import torch
from torch import Tensor

from kullback.common import broadcast_shapes
from kullback.gaussian import Gaussian
from kullback.kernels.function import Operands
from kullback.scale.diagonal import Diagonal, Parameterisation


def operands(p: Gaussian, q: Gaussian) -> tuple[Operands, Parameterisation, int] | str:
    """What is computed on: means and scales as tensors, what the scales are, and the number of event dimensions; or why
    there is nothing to compute on.
    """
    scale_p, scale_q = p.scale, q.scale
    if type(scale_p) is not Diagonal or type(scale_q) is not Diagonal:
        return "not a pair of diagonals"
    given = (p.location, scale_p.value, q.location, scale_q.value)
    a, b, c, d = given
    if (
        isinstance(a, Tensor)
        and isinstance(b, Tensor)
        and isinstance(c, Tensor)
        and isinstance(d, Tensor)
        and scale_p.parameterisation == scale_q.parameterisation
        and p.event == q.event
        and a.shape == b.shape == c.shape == d.shape
    ):
        return (a, b, c, d), scale_p.parameterisation, p.event_dims
    if isinstance(a, Tensor) and isinstance(b, Tensor) and isinstance(c, float) and isinstance(d, float):
        # A prior of numbers, such as the standard normal: the other line of a training loop.
        kind = scale_p.parameterisation
        prior = scale_q.to(kind)
        if a.shape == b.shape and a.ndim and p.event_shape == q.event_shape and prior.fits(a.dtype):
            return (a, b, _constant(c, a.dtype), _constant(float(prior.value), a.dtype)), kind, p.event_dims
    return _others(p, q, scale_p, scale_q)


@functools.lru_cache(maxsize=64)
def _constant(x: float, dtype: torch.dtype) -> Tensor:
    # An inference tensor could not be saved for a backward pass later.
    with torch.inference_mode(mode=False):
        return torch.full((), x, dtype=dtype)


def _others(
    p: Gaussian, q: Gaussian, scale_p: Diagonal, scale_q: Diagonal
) -> tuple[Operands, Parameterisation, int] | str:
    """Where there are numbers among them, or shapes that broadcast."""
    tensors = [*p.tensors(), *q.tensors()]
    if not tensors:
        return "nothing but numbers"
    kinds = {x.parameterisation for x in (scale_p, scale_q) if isinstance(x.value, Tensor)}
    kinds = kinds or {scale_p.parameterisation}
    if len(kinds) > 1:
        return "scales of different parameterisations"
    kind, dtype = kinds.pop(), tensors[0].dtype
    scales = []
    for scale in (scale_p, scale_q):
        converted = scale if isinstance(scale.value, Tensor) else scale.to(kind)
        if not isinstance(converted.value, Tensor) and not converted.fits(dtype):
            return "a number that the dtype cannot hold"
        scales.append(converted.value)
    try:
        broadcast_shapes(p.batch_shape, q.batch_shape)
    except RuntimeError:
        return "batches that do not broadcast"
    if p.event_shape != q.event_shape:
        return "events that differ"
    if p.event_dims and not any(x.ndim for x in tensors):
        return "no tensor of the shape of the event"
    a, b, c, d = (x if isinstance(x, Tensor) else torch.full((), x, dtype=dtype) for x in
                  (p.location, scales[0], q.location, scales[1]))  # fmt: skip
    return (a, b, c, d), kind, p.event_dims
