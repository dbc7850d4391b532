"""Ways of getting the divergence of two Gaussians wrong, and what they return.

A mistake is one change to the formula; people make one, two or three at a time, so what is tried is every combination.
A new mistake is one row of the table that it changes.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import MatrixScale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.gaussians.scales.stack import factor_of
from kullback.numerics.tensors import broadcast_shapes

_MOST_SAMPLES = 20_000_000


@dataclass(frozen=True)
class Terms:
    """What the textbook formula adds up: ½(log_det − d + trace + square), each of the shape of the batch."""

    log_det: Tensor
    trace: Tensor
    square: Tensor
    d: int

    @classmethod
    def of_diagonals(cls, delta: Tensor, var_p: Tensor, var_q: Tensor) -> "Terms":
        """For independent coordinates."""
        d = delta.shape[-1]
        log_det = (torch.log(var_q) - torch.log(var_p)).sum(-1)
        return cls(log_det, (var_p / var_q).sum(-1), (delta.square() / var_q).sum(-1), d)

    @classmethod
    def of_matrices(cls, delta: Tensor, cov_p: Tensor, cov_q: Tensor) -> "Terms":
        """For matrices."""
        y = torch.linalg.solve(cov_q, torch.cat([cov_p, delta.unsqueeze(-1).expand(*cov_p.shape[:-1], 1)], -1))
        trace = y[..., :-1].diagonal(dim1=-2, dim2=-1).sum(-1)
        return cls(torch.logdet(cov_q) - torch.logdet(cov_p), trace, (delta * y[..., -1]).sum(-1), delta.shape[-1])


@dataclass(frozen=True)
class Change:
    """One mistake: what it is, said to the one who made it, and what it does. The first of a table is none."""

    what: str | None
    how: Any


_ORDER = (
    Change(None, lambda p, q: (p, q)),
    Change("p and q are swapped: KL(q‖p), not KL(p‖q)", lambda p, q: (q, p)),
)

_LOG_DET = (
    Change(None, 1.0),
    Change("the log-determinant is the wrong way round: log(det Σq / det Σp) is meant", -1.0),
    Change("the log-determinant is 0 or missing: log(det Σq / det Σp) is meant", 0.0),
)

_DIMENSION = (
    Change(None, 1.0),
    Change("−d is missing inside the ½", 0.0),
    Change("−d/2 stands inside the ½, where −d belongs", 0.5),
)

_HALF = (
    Change(None, 0.5),
    Change("the factor ½ is missing", 1.0),
)

_UNIT = (
    Change(None, 1.0),
    Change("the number is in bits: times log 2 it is in nats", 1.0 / math.log(2.0)),
)

_REDUCTION = (
    Change(None, lambda total, d: total),
    Change("a mean over the coordinates is taken, where their sum is meant", lambda total, d: total / d),
)

# What was given, and what it may have been taken for.
_READINGS: dict[str, tuple[tuple[str | None, Callable[[Tensor], Tensor]], ...]] = {
    "std": (
        (None, torch.square),
        ("the standard deviations are taken for variances", lambda x: x),
        ("the standard deviations are taken for log-variances", torch.exp),
    ),
    "variance": (
        (None, lambda x: x),
        ("the variances are taken for standard deviations", torch.square),
        ("the variances are taken for log-variances", torch.exp),
    ),
    "logvar": (
        (None, torch.exp),
        ("the log-variances are taken for logarithms of standard deviations", lambda x: torch.exp(2.0 * x)),
        ("the log-variances are taken for standard deviations", torch.square),
        ("the log-variances are taken for variances", lambda x: x),
    ),
}


@dataclass(frozen=True, eq=False)
class Wrong:
    """A wrong number, one for each row, and the mistakes that it takes."""

    mistakes: tuple[str, ...]
    value: Tensor
    noise: float = 0.0  # standard error, of a mistake that draws samples


def wrong_numbers(p: Gaussian, q: Gaussian) -> Iterator[Wrong]:
    """Every combination of mistakes in the closed form, then those that are no closed form."""
    for reading, p_read, q_read in _readings(p, q):
        for order in _ORDER:
            terms = _terms(*order.how(p_read, q_read))
            for log_det, dimension, half, reduction, unit in product(_LOG_DET, _DIMENSION, _HALF, _REDUCTION, _UNIT):
                inside = log_det.how * terms.log_det - dimension.how * terms.d + terms.trace + terms.square
                changes = (order, log_det, dimension, half, reduction, unit)
                said = tuple(x for x in (reading, *(change.what for change in changes)) if x)
                yield Wrong(said, unit.how * reduction.how(half.how * inside, terms.d))
    yield from _by_other_means(p, q)


_Read = tuple[Tensor, Tensor]  # means, and variances or covariances


def _terms(p: _Read, q: _Read) -> Terms:
    make = Terms.of_diagonals if p[1].ndim == p[0].ndim else Terms.of_matrices
    return make(p[0] - q[0], p[1], q[1])


def _readings(p: Gaussian, q: Gaussian) -> Iterator[tuple[str | None, _Read, _Read]]:
    """Both Gaussians, read right and wrong, with full batches and flat events."""
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)

    def flat(x: Tensor) -> Tensor:
        return x.broadcast_to(batch + p.event_shape).reshape(*batch, -1)

    if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal):
        scale_p, scale_q = (s if s.parameterization in _READINGS else s.to("variance") for s in (p.scale, q.scale))
        for what, read in _READINGS[scale_p.parameterization]:
            # Who misreads one scale misreads the other, if it is given the same way.
            alike = scale_q.parameterization == scale_p.parameterization
            other = read if alike else _READINGS[scale_q.parameterization][0][1]
            yield (what, (flat(p.mean), flat(read(scale_p.value))), (flat(q.mean), flat(other(scale_q.value))))
        return
    factors = [factor_of(g.scale, g.event_shape) for g in (p, q)]
    means = [flat(g.mean) for g in (p, q)]
    shape = batch + factors[0].shape[-2:]
    right, wrong = (
        [(mean, x.broadcast_to(shape)) for mean, x in zip(means, matrices, strict=True)]
        for matrices in ([x @ x.mT for x in factors], factors)
    )
    yield (None, right[0], right[1])
    if all(isinstance(g.scale, MatrixScale) and g.scale.parameterization == "scale_tril" for g in (p, q)):
        yield ("the Cholesky factors are taken for covariances", wrong[0], wrong[1])


def _by_other_means(p: Gaussian, q: Gaussian) -> Iterator[Wrong]:
    batch = broadcast_shapes(p.batch_shape, q.batch_shape)
    if isinstance(p.scale, Diagonal):
        logvar = p.scale.to("logvar").value.bfloat16()
        mean = p.mean.bfloat16()
        line = -0.5 * (1 + logvar - mean.pow(2) - logvar.exp())
        total = line.broadcast_to(batch + p.event_shape).reshape(*batch, -1).sum(-1)
        yield Wrong(("the VAE line −½ Σ (1 + logvar − mu² − e^logvar) is computed in bfloat16",), total.double())
    generator = torch.Generator().manual_seed(0)
    n = max(2, min(256, _MOST_SAMPLES // max(1, math.prod(batch + p.event_shape))))
    x, y = (g.expand(batch).sample(n, generator=generator) for g in (p, q))
    for what, a, b in (
        ("the means", p.mean.broadcast_to(batch + p.event_shape), q.mean.broadcast_to(batch + p.event_shape)),
        ("samples", x, y),
    ):
        for how, raw, first, second in (
            ("as they are", True, a, b),
            ("softmaxed", False, a.log_softmax(-1), b.softmax(-1)),
        ):
            parts = functional.kl_div(first, second, reduction="none")
            dims = tuple(range(-len(p.event_shape), 0))
            rows = parts.sum(dims) if dims else parts
            noise = 0.0
            if what == "samples":
                noise = float(rows.std(0).mean() / math.sqrt(n))
                rows = rows.mean(0)
            wants = "log-probabilities and probabilities" if raw else "distributions over the coordinates"
            yield Wrong((f"F.kl_div is called on {what}, {how}: it wants {wants}, which they are not",), rows, noise)
