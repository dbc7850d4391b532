"""Common mistakes in computing the KL divergence of two Gaussians, and the values that they give.

The closed form has several places at which it is changed by mistake, each with a table of changes; every combination
of one entry from each table is tried. A new mistake is a row in one of these tables.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Generic, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.numerics.tensors import broadcast_shapes

# The most numbers that are drawn, and the most samples, to imitate mistakes that sample.
_MAX_DRAWN = 20_000_000
_MAX_SAMPLES = 256

T = TypeVar("T")
Parameters = tuple[Tensor, Tensor]
"""Means, and variances or covariances."""


@dataclass(frozen=True)
class Terms:
    """The terms of the closed form ½(log_det − d + trace + square), each of the shape of the batch."""

    log_det: Tensor
    trace: Tensor
    square: Tensor
    d: int

    @classmethod
    def of_diagonals(cls, delta: Tensor, var_p: Tensor, var_q: Tensor) -> "Terms":
        """The terms for diagonal Gaussians; ``delta`` is the difference of the means."""
        d = delta.shape[-1]
        log_det = (torch.log(var_q) - torch.log(var_p)).sum(-1)
        return cls(log_det, (var_p / var_q).sum(-1), (delta.square() / var_q).sum(-1), d)

    @classmethod
    def of_matrices(cls, delta: Tensor, cov_p: Tensor, cov_q: Tensor) -> "Terms":
        """The terms for covariance matrices; ``delta`` is the difference of the means."""
        y = torch.linalg.solve(cov_q, torch.cat([cov_p, delta.unsqueeze(-1).expand(*cov_p.shape[:-1], 1)], -1))
        trace = y[..., :-1].diagonal(dim1=-2, dim2=-1).sum(-1)
        return cls(torch.logdet(cov_q) - torch.logdet(cov_p), trace, (delta * y[..., -1]).sum(-1), delta.shape[-1])


@dataclass(frozen=True)
class Change(Generic[T]):
    """A mistake at one place of the formula. The first entry of every table is None, which is correct."""

    mistake: str | None
    effect: T


def _standard(q: Parameters) -> Parameters:
    mean, variances = q
    ones = torch.ones_like(mean)
    return torch.zeros_like(mean), ones if variances.ndim == mean.ndim else ones.diag_embed()


_ORDER: tuple[Change[Callable[[Parameters, Parameters], tuple[Parameters, Parameters]]], ...] = (
    Change(None, lambda p, q: (p, q)),
    Change("p and q are swapped: this is KL(q‖p), not KL(p‖q)", lambda p, q: (q, p)),
    Change("this is the divergence of p from the prior N(0, I), not from q", lambda p, q: (p, _standard(q))),
)

_LOG_DET = (
    Change(None, 1.0),
    Change("the log-determinant is the wrong way round: it should be log(det Σq / det Σp)", -1.0),
    Change("the log-determinant is 0 or missing: it should be log(det Σq / det Σp)", 0.0),
)

_DIMENSION = (
    Change(None, 1.0),
    Change("−d is missing inside the ½", 0.0),
    Change("−d/2 stands inside the ½, where −d belongs", 0.5),
)

_HALF = (
    Change(None, 0.5),
    Change("the factor ½ is missing", 1.0),
    Change("the factor ½ is taken twice", 0.25),
)

_UNIT = (
    Change(None, 1.0),
    Change("the value is in bits: multiply it by log 2 for nats", 1.0 / math.log(2.0)),
    Change("the sign is wrong: a divergence is not negative", -1.0),
)

_REDUCTION: tuple[Change[Callable[[Tensor, int], Tensor]], ...] = (
    Change(None, lambda total, d: total),
    Change("the mean over the coordinates is taken instead of their sum", lambda total, d: total / d),
)

# By the parameterization that is given: what it is taken for, and the variance that results.
_READINGS: dict[str, tuple[Change[Callable[[Tensor], Tensor]], ...]] = {
    "std": (
        Change(None, torch.square),
        Change("the standard deviations are taken for variances", lambda x: x),
        Change("the standard deviations are taken for log-variances", torch.exp),
    ),
    "variance": (
        Change(None, lambda x: x),
        Change("the variances are taken for standard deviations", torch.square),
        Change("the variances are taken for log-variances", torch.exp),
    ),
    "logvar": (
        Change(None, torch.exp),
        Change("the log-variances are taken for logarithms of standard deviations", lambda x: torch.exp(2.0 * x)),
        Change("logarithms of standard deviations are taken for log-variances", lambda x: torch.exp(0.5 * x)),
        Change("the log-variances are taken for standard deviations", torch.square),
        Change("the log-variances are taken for variances", lambda x: x),
    ),
    "log_std": (
        Change(None, lambda x: torch.exp(2.0 * x)),
        Change("the logarithms of standard deviations are taken for log-variances", torch.exp),
        Change("the logarithms of standard deviations are taken for standard deviations", torch.square),
        Change("the logarithms of standard deviations are taken for variances", lambda x: x),
    ),
}


@dataclass(frozen=True, eq=False)
class WrongValue:
    """A wrong value for each row, and the mistakes that give it."""

    mistakes: tuple[str, ...]
    value: Tensor
    noise: float = 0.0
    """The standard error of the value, if the mistake involves sampling."""


def wrong_values(p: Gaussian, q: Gaussian) -> Iterator[WrongValue]:
    """The values of all combinations of mistakes in the closed form, then those of other formulas.

    The first combination is that of no mistakes.
    """
    for reading, p_read, q_read in _readings(p, q):
        for order in _ORDER:
            terms = _terms(*order.effect(p_read, q_read))
            for log_det, dimension, half, reduction, unit in product(_LOG_DET, _DIMENSION, _HALF, _REDUCTION, _UNIT):
                bracket = log_det.effect * terms.log_det - dimension.effect * terms.d + terms.trace + terms.square
                value = unit.effect * reduction.effect(half.effect * bracket, terms.d)
                changes = (order, log_det, dimension, half, reduction, unit)
                mistakes = tuple(x for x in (reading, *(change.mistake for change in changes)) if x)
                yield WrongValue(mistakes, value)
    yield from _in_bfloat16(p, q)
    yield from _by_kl_div(p, q)


def _terms(p: Parameters, q: Parameters) -> Terms:
    make = Terms.of_diagonals if p[1].ndim == p[0].ndim else Terms.of_matrices
    return make(p[0] - q[0], p[1], q[1])


def _readings(p: Gaussian, q: Gaussian) -> Iterator[tuple[str | None, Parameters, Parameters]]:
    """The parameters of both Gaussians as they are given and as they may be misread, with the mistake if there is one.

    Batches are expanded and events flattened.
    """
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)

    def flat(x: Tensor) -> Tensor:
        return x.broadcast_to(batch + p.event_shape).reshape(*batch, -1)

    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        scale_p, scale_q = (s if s.parameterization in _READINGS else s.to("variance") for s in (p.scale, q.scale))
        for reading in _READINGS[scale_p.parameterization]:
            # The same mistake is assumed for q if it is given in the same parameterization.
            same = scale_q.parameterization == scale_p.parameterization
            reading_q = reading if same else _READINGS[scale_q.parameterization][0]
            variances = flat(reading.effect(scale_p.value)), flat(reading_q.effect(scale_q.value))
            yield reading.mistake, (flat(p.mean), variances[0]), (flat(q.mean), variances[1])
        return
    factors = [g.scale.factor_matrix(g.event_shape) for g in (p, q)]
    means = [flat(g.mean) for g in (p, q)]
    shape = batch + factors[0].shape[-2:]
    right, wrong = (
        [(mean, x.broadcast_to(shape)) for mean, x in zip(means, matrices, strict=True)]
        for matrices in ([x @ x.mT for x in factors], factors)
    )
    yield None, right[0], right[1]
    if all(isinstance(g.scale, MatrixScale) and g.scale.parameterization == "scale_tril" for g in (p, q)):
        yield "the Cholesky factors are taken for covariances", wrong[0], wrong[1]


def _in_bfloat16(p: Gaussian, q: Gaussian) -> Iterator[WrongValue]:
    """The formula for a standard normal prior, as a training loss under autocast computes it."""
    if not isinstance(p.scale, Diagonal):
        return
    logvar, mean = p.scale.to("logvar").value.bfloat16(), p.mean.bfloat16()
    terms = -0.5 * (1 + logvar - mean.pow(2) - logvar.exp())
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    total = terms.broadcast_to(batch + p.event_shape).reshape(*batch, -1).sum(-1)
    yield WrongValue(("the VAE formula −½ Σ (1 + logvar − mu² − e^logvar) is computed in bfloat16",), total.double())


def _by_kl_div(p: Gaussian, q: Gaussian) -> Iterator[WrongValue]:
    """``F.kl_div``, which is for discrete distributions, called on the means, and then on samples."""
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    shape = batch + p.event_shape
    n = max(2, min(_MAX_SAMPLES, _MAX_DRAWN // max(1, math.prod(shape))))
    generator = torch.Generator().manual_seed(0)
    x, y = (g.expand(batch).sample(n, generator=generator) for g in (p, q))
    dims = tuple(range(-len(p.event_shape), 0))
    for subject, a, b in (("the means", p.mean.broadcast_to(shape), q.mean.broadcast_to(shape)), ("samples", x, y)):
        for how, first, second in (
            ("as they are: it expects log-probabilities and probabilities", a, b),
            ("softmaxed: it then compares distributions over the coordinates", a.log_softmax(-1), b.softmax(-1)),
        ):
            terms = functional.kl_div(first, second, reduction="none")
            rows, noise = terms.sum(dims) if dims else terms, 0.0
            if subject == "samples":
                rows, noise = rows.mean(0), float(rows.std(0).mean() / math.sqrt(n))
            yield WrongValue((f"F.kl_div is called on {subject}, {how}",), rows, noise)
