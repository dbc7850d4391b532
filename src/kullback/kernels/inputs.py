"""The tensors that kernels compute on, of a pair of Gaussians; or why there are none."""

import torch

from kullback.gaussians.gaussian import Gaussian, NumericGaussian
from kullback.gaussians.scales.diagonal import (
    COMPARED_AS,
    Diagonal,
    Isotropic,
    Parameterization,
    common_parameterization,
)
from kullback.gaussians.scales.matrix import Dense, Tril
from kullback.kernels.conversion import converted
from kullback.kernels.protocol import Inputs
from kullback.numerics.guard import unreadable_tensor
from kullback.numerics.tensors import can_broadcast, constant


def kernel_inputs(p: Gaussian, q: Gaussian) -> Inputs | str:
    """Means and scales as tensors of one parameterization; or why there are none."""
    return diagonal_inputs(p, q) if p.scale.is_diagonal else full_inputs(p, q)


def diagonal_inputs(p: Gaussian, q: Gaussian) -> Inputs | str:
    """Of a pair of diagonals."""
    scale_p, scale_q = p.scale, q.scale
    if not (isinstance(scale_p, Diagonal) and isinstance(scale_q, Diagonal)):
        return "not a pair of diagonals"
    if scale_p.parameterization in COMPARED_AS:
        return _broadcast_diagonals(p, q, scale_p, scale_q)
    if type(p) is type(q) is Gaussian and type(scale_p) is type(scale_q) is Diagonal:
        a, b, c, d = p.mean, scale_p.value, q.mean, scale_q.value
        alike = scale_p.parameterization == scale_q.parameterization and p.event_dims == q.event_dims
        if alike and a.shape == b.shape == c.shape == d.shape:
            return Inputs((a, b, c, d), scale_p.parameterization, p.event_dims)
    elif isinstance(q, NumericGaussian) and type(p) is Gaussian and type(scale_p) is Diagonal:
        # A prior of numbers, such as the standard normal: the other line of a training loop.
        a, b = p.mean, scale_p.value
        assert isinstance(scale_q, Isotropic)
        prior = scale_q.to(scale_p.parameterization)
        if a.shape == b.shape and a.ndim and p.event_shape == q.event_shape and prior.fits(a.dtype):
            c, d = constant(q.number, a), constant(prior.number, a)
            return Inputs((a, b, c, d), scale_p.parameterization, p.event_dims)
    return _broadcast_diagonals(p, q, scale_p, scale_q)


def _broadcast_diagonals(p: Gaussian, q: Gaussian, scale_p: Diagonal, scale_q: Diagonal) -> Inputs | str:
    """Where there are numbers among them, or shapes that broadcast."""
    tensors = [*p.tensors(), *q.tensors()]
    if not tensors:
        return "nothing but numbers"
    kind, dtype = common_parameterization(scale_p, scale_q), tensors[0].dtype
    if scale_p.parameterization != scale_q.parameterization and (reason := unreadable_tensor(tensors)):
        return reason
    scales = []
    for scale in (scale_p, scale_q):
        if isinstance(scale, Isotropic):
            number = scale.to(kind)
            if not number.fits(dtype):
                return "a number that the dtype cannot hold"
            scales.append(constant(number.number, tensors[0]))
        elif scale.parameterization == kind:
            scales.append(scale.value)
        else:
            scales.append(converted(scale, kind))
    if not can_broadcast(p.batch_shape, q.batch_shape):
        return "batches that do not broadcast"
    if p.event_shape != q.event_shape:
        return "events that differ"
    if p.event_dims and not any(x.ndim for x in tensors):
        return "no tensor of the shape of the event"
    means = (constant(g.number, tensors[0]) if isinstance(g, NumericGaussian) else g.mean for g in (p, q))
    return Inputs((next(means), scales[0], next(means), scales[1]), kind, p.event_dims)


def widens_exactly(p: Gaussian, q: Gaussian) -> bool:
    """Do the inputs of a pair of diagonals become float64 exactly: is nothing converted or rounded before?"""
    dtypes = {x.dtype for g in (p, q) for x in g.tensors()}
    if dtypes != {torch.float32}:
        return dtypes == {torch.float64}
    kinds = {x.parameterization for x in (p.scale, q.scale) if type(x) is Diagonal}
    numbers = [x for g in (p, q) for x in _numbers(g, kinds)]
    return len(kinds) == 1 and all(float(torch.tensor(x, dtype=torch.float32)) == x for x in numbers)


def _numbers(g: Gaussian, kinds: set[Parameterization]) -> list[float]:
    """The Python numbers among the parameters of a Gaussian, whose scale meets others of this kind."""
    means = [g.number] if isinstance(g, NumericGaussian) else []
    scales = [g.scale.to(kind).number for kind in kinds] if isinstance(g.scale, Isotropic) else []
    return means + scales


def full_inputs(p: Gaussian, q: Gaussian) -> Inputs | str:
    """Of a pair of covariances, or of Cholesky factors."""
    scale_p, scale_q, a, c = p.scale, q.scale, p.mean, q.mean
    if type(scale_p) is Dense and type(scale_q) is Dense:
        b, d = scale_p.matrix, scale_q.matrix
    elif type(scale_p) is Tril and type(scale_q) is Tril:
        b, d = scale_p.factor, scale_q.factor
    else:
        return "not a pair of covariances or of Cholesky factors"
    n = b.shape[-1]
    if a.shape[-1] != n or c.shape[-1] != n or d.shape[-1] != n:
        return "events that differ"
    if (a.shape != c.shape or b.shape != d.shape) and not can_broadcast(p.batch_shape, q.batch_shape):
        return "batches that do not broadcast"
    return Inputs((a, b, c, d), scale_p.parameterization, 1)
