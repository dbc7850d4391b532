"""The parameters of two Gaussians as they are given, and as they may be misread."""

from collections.abc import Callable

import torch
from torch import Tensor

from kullback.explanation.mistakes import EPSILONS, Change
from kullback.explanation.terms import Parameters
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.tensors import broadcast_shapes

OfScale = Callable[[Tensor], Tensor]
Reading = Callable[[], tuple[Parameters, Parameters]]
"""The parameters of p and of q, computed when they are asked for."""

# By the parameterization that is given: what it is taken for, and the variance that results.
_DIAGONAL: dict[str, tuple[Change[OfScale], ...]] = {
    "std": (
        Change(None, torch.square),
        Change("the standard deviations are taken for variances", lambda x: x),
        Change("the standard deviations are taken for log-variances", torch.exp),
        Change("the standard deviations are taken for their logarithms", lambda x: torch.exp(2.0 * x)),
        Change("variances are passed as standard deviations, as in Normal(mean, variance)", lambda x: x**4),
    ),
    "variance": (
        Change(None, lambda x: x),
        Change("the variances are taken for standard deviations, as in Normal(mean, variance)", torch.square),
        Change("the variances are taken for log-variances", torch.exp),
        Change("standard deviations are passed as variances", torch.sqrt),
    ),
    "logvar": (
        Change(None, torch.exp),
        Change(
            "the log-variances are taken for logarithms of standard deviations, or variances for standard deviations, "
            "as in Normal(mean, variance)",
            lambda x: torch.exp(2.0 * x),
        ),
        Change("logarithms of standard deviations are taken for log-variances", lambda x: torch.exp(0.5 * x)),
        Change("the log-variances are taken for standard deviations", torch.square),
        Change("the log-variances are taken for variances", lambda x: x),
    ),
    "log_std": (
        Change(None, lambda x: torch.exp(2.0 * x)),
        Change("the logarithms of standard deviations are taken for log-variances", torch.exp),
        Change("the logarithms of standard deviations are taken for standard deviations", torch.square),
        Change("the logarithms of standard deviations are taken for variances", lambda x: x),
        Change(
            "variances are passed as standard deviations, as in Normal(mean, variance)", lambda x: torch.exp(4.0 * x)
        ),
    ),
}

# The same for matrices: the covariance that results.
_MATRIX: dict[str, tuple[Change[OfScale], ...]] = {
    "covariance": (
        Change("the covariances are taken for Cholesky factors (scale_tril)", lambda x: x.tril() @ x.tril().mT),
        Change("the covariances are taken for precisions", lambda x: torch.linalg.inv_ex(x).inverse),
    ),
    "scale_tril": (
        Change("the Cholesky factors are taken for covariances", lambda x: x),
        Change("the Cholesky factors are taken for covariances, symmetric", lambda x: x.tril() + x.tril(-1).mT),
    ),
    "precision": (Change("the precisions are taken for covariances", lambda x: torch.linalg.inv_ex(x).inverse),),
}


def readings(p: Gaussian, q: Gaussian, *, to_prior: bool) -> list[Change[Reading]]:
    """Both Gaussians as they are given, and as one or both may be misread. Batches are expanded, events flattened.

    ``to_prior``: q was given as a standard normal, whose scale nobody misreads.
    """
    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        return _of_diagonals(p, q, (p.scale, q.scale), to_prior=to_prior)
    return _of_matrices(p, q)


def _of_diagonals(
    p: Gaussian, q: Gaussian, given: tuple[Diagonal, Diagonal], *, to_prior: bool
) -> list[Change[Reading]]:
    scales = [s if s.parameterization in _DIAGONAL else s.to("variance") for s in given]
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    means = [_flat(g.mean, batch, p.event_shape) for g in (p, q)]
    values = [_flat(s.value, batch, p.event_shape) for s in scales]
    tables = [_DIAGONAL[s.parameterization] for s in scales]

    def read(as_p: OfScale, as_q: OfScale) -> Reading:
        return lambda: (Parameters(means[0], as_p(values[0])), Parameters(means[1], as_q(values[1])))

    (right_p, *wrong_p), (right_q, *wrong_q) = tables
    found = [Change[Reading](None, read(right_p.effect, right_q.effect))]
    if to_prior:
        found += [Change(x.mistake, read(x.effect, right_q.effect)) for x in wrong_p]
    else:
        both = wrong_p if tables[0] is tables[1] else ()
        found += [Change(x.mistake, read(x.effect, x.effect)) for x in both]
        # What leaves one side as it is, such as a square of ones, would be listed twice.
        moving_p, moving_q = (
            [x for x in wrong if x not in both or not torch.equal(x.effect(value), right.effect(value))]
            for wrong, right, value in ((wrong_p, right_q, values[1]), (wrong_q, right_p, values[0]))
        )
        found += [Change(f"{x.mistake}, of p", read(x.effect, right_q.effect)) for x in moving_p]
        found += [Change(f"{x.mistake}, of q", read(right_p.effect, x.effect)) for x in moving_q]
    for epsilon in EPSILONS:
        for what, add in (("variances", _to_variance(epsilon)), ("standard deviations", _to_std(epsilon))):
            as_p, as_q = _after(add, right_p.effect), right_q.effect if to_prior else _after(add, right_q.effect)
            found.append(Change(f"{epsilon:g} is added to the {what}", read(as_p, as_q), rare=True))
    return found


def _after(outer: OfScale, inner: OfScale) -> OfScale:
    return lambda x: outer(inner(x))


def _to_variance(epsilon: float) -> OfScale:
    return lambda variance: variance + epsilon


def _to_std(epsilon: float) -> OfScale:
    return lambda variance: (variance.sqrt() + epsilon).square()


def _of_matrices(p: Gaussian, q: Gaussian) -> list[Change[Reading]]:
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    means = [_flat(g.mean, batch, p.event_shape) for g in (p, q)]

    def read(*covariances: Tensor) -> tuple[Parameters, Parameters]:
        shape = batch + covariances[0].shape[-2:]
        as_p, as_q = (Parameters(m, x.broadcast_to(shape)) for m, x in zip(means, covariances, strict=True))
        return as_p, as_q

    right = [g.scale.covariance_matrix(g.event_shape) for g in (p, q)]
    found = [Change[Reading](None, lambda: read(*right))]
    marginal = [x.diagonal(dim1=-2, dim2=-1).diag_embed() for x in right]
    found.append(Change("the correlations are left out", lambda: read(*marginal)))
    if p.scale.parameterization == q.scale.parameterization:
        given = [next(iter(g.scale.parts(1)))[0] for g in (p, q)]
        for x in _MATRIX.get(p.scale.parameterization, ()):
            found.append(Change(x.mistake, lambda x=x: read(*map(x.effect, given))))  # type: ignore[misc]
    return found


def _flat(x: Tensor, batch: torch.Size, event: torch.Size) -> Tensor:
    return x.broadcast_to(batch + event).reshape(*batch, -1)
