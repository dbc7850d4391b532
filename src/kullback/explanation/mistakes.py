"""Common mistakes in computing the KL divergence of two Gaussians: one table for each place at which one is made.

The closed form is ½(log_det − d + trace + square). A mistake changes what one place contributes, and at most one is
made at each place. A new mistake is a row in one of these tables. The parameters themselves may be misread, too:
``readings.py`` has those tables.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from kullback.explanation.terms import Coordinates, Parameters, Terms

T = TypeVar("T")

# What is added to a denominator or a logarithm to keep it from 0.
EPSILONS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)


@dataclass(frozen=True)
class Change(Generic[T]):
    """A mistake at one place of the formula. The first entry of a table has none: it is correct."""

    mistake: str | None
    effect: T
    rare: bool = False
    """One of a family, such as of an epsilon: it is combined with few others, since one of them always fits."""


OfPair = Callable[[Parameters, Parameters], tuple[Parameters, Parameters]]
OfTerms = Callable[[Terms], Tensor]
Quotient = Callable[[Terms], tuple[Tensor, Tensor]]


ORDER: tuple[Change[OfPair], ...] = (
    Change(None, lambda p, q: (p, q)),
    Change("p and q are swapped: this is KL(q‖p), not KL(p‖q)", lambda p, q: (q, p)),
    Change("this is the divergence of p from the prior N(0, I), not from q", lambda p, q: (p, q.standard())),
    Change("this is the divergence of q from the prior N(0, I), not of p from q", lambda p, q: (q, q.standard())),
)


def _log_epsilons(epsilon: float) -> tuple[Change[Callable[[Coordinates], Tensor]], ...]:
    """Where an epsilon is added in the logarithm alone."""
    return (
        Change(
            f"{epsilon:g} is added to both standard deviations in the logarithm",
            lambda x: 2.0 * ((x.std_q + epsilon).log() - (x.std_p + epsilon).log()),
            rare=True,
        ),
        Change(
            f"{epsilon:g} is added to the ratio of the standard deviations in the logarithm",
            lambda x: 2.0 * (x.std_q / x.std_p + epsilon).log(),
            rare=True,
        ),
        Change(
            f"{epsilon:g} is added to the ratio of the variances in the logarithm",
            lambda x: (x.var_q / x.var_p + epsilon).log(),
            rare=True,
        ),
        Change(
            f"{epsilon:g} is added to both variances in the logarithm",
            lambda x: (x.var_q + epsilon).log() - (x.var_p + epsilon).log(),
            rare=True,
        ),
    )


def _by_coordinates(change: Change[Callable[[Coordinates], Tensor]]) -> Change[OfTerms]:
    """The change of a term that is a sum over coordinates."""

    def effect(t: Terms) -> Tensor:
        return t.log_det * math.nan if t.coordinates is None else change.effect(t.coordinates).sum(-1)

    return Change(change.mistake, effect, change.rare)


LOG_DET: tuple[Change[OfTerms], ...] = (
    Change(None, lambda t: t.log_det),
    Change("the log-determinant is the wrong way round: it should be log(det Σq / det Σp)", lambda t: -t.log_det),
    Change("the log-determinant is 0 or missing: it should be log(det Σq / det Σp)", lambda t: 0.0 * t.log_det),
    Change("the ½ of the logarithm is missing: log(σq/σp) is half of log(σq²/σp²)", lambda t: 2.0 * t.log_det),
    Change("the ½ of the logarithm is taken twice: log(σq/σp) already contains it", lambda t: 0.5 * t.log_det),
    Change("the logarithm is decimal, where the natural one belongs", lambda t: t.log_det / math.log(10.0)),
    Change("the logarithm is binary, where the natural one belongs", lambda t: t.log_det / math.log(2.0)),
    *(_by_coordinates(change) for epsilon in EPSILONS for change in _log_epsilons(epsilon)),
)

DIMENSION: tuple[Change[Callable[[int], float]], ...] = (
    Change(None, lambda d: -float(d)),
    Change("−d is missing inside the ½", lambda d: 0.0),
    Change("−d/2 stands inside the ½, where −d belongs", lambda d: -0.5 * d),
    Change("−d stands outside the ½", lambda d: -2.0 * d),
    Change("1 is subtracted once, not for each coordinate", lambda d: -1.0),
    Change("d is added, where it should be subtracted", float),
)


def _quotient(
    mistake: str, effect: Callable[[Coordinates], tuple[Tensor, Tensor]], *, rare: bool = False
) -> Change[Quotient]:
    """A change of the trace and of the square that is made in each coordinate."""

    def summed(t: Terms) -> tuple[Tensor, Tensor]:
        if t.coordinates is None:
            return t.trace * math.nan, t.square
        trace, square = effect(t.coordinates)
        return trace.sum(-1), square.sum(-1)

    return Change(mistake, summed, rare)


QUOTIENT: tuple[Change[Quotient], ...] = (
    Change(None, lambda t: (t.trace, t.square)),
    Change("the term tr(Σq⁻¹ Σp) is missing", lambda t: (0.0 * t.trace, t.square)),
    Change("the term of the means is missing", lambda t: (t.trace, 0.0 * t.square)),
    Change("the sign of tr(Σq⁻¹ Σp) is wrong", lambda t: (-t.trace, t.square)),
    Change("the sign of the term of the means is wrong", lambda t: (t.trace, -t.square)),
    Change("the ½ of the term of the means is missing", lambda t: (t.trace, 2.0 * t.square)),
    Change("the ½ of tr(Σq⁻¹ Σp) is missing", lambda t: (2.0 * t.trace, t.square)),
    _quotient("the difference of the means is not squared", lambda x: (x.var_p / x.var_q, x.delta / x.var_q)),
    _quotient(
        "the difference of the means is not squared: its absolute value is taken",
        lambda x: (x.var_p / x.var_q, x.delta.abs() / x.var_q),
    ),
    _quotient(
        "the standard deviations are not squared: (σp + Δ²) / (2 σq), where (σp² + Δ²) / (2 σq²) belongs",
        lambda x: (x.std_p / x.std_q, x.delta.square() / x.std_q),
    ),
    _quotient(
        "σq is not squared: (σp² + Δ²) / (2 σq), where (σp² + Δ²) / (2 σq²) belongs",
        lambda x: (x.var_p / x.std_q, x.delta.square() / x.std_q),
    ),
    _quotient(
        "σp is not squared: (σp + Δ²) / (2 σq²), where (σp² + Δ²) / (2 σq²) belongs",
        lambda x: (x.std_p / x.var_q, x.delta.square() / x.var_q),
    ),
    _quotient(
        "the square is around the sum: (σp + Δ)², where σp² + Δ² belongs",
        lambda x: ((x.std_p + x.delta).square() / x.var_q, 0.0 * x.delta),
    ),
    _quotient(
        "a parenthesis is missing: σp² + Δ² / (2 σq²), where (σp² + Δ²) / (2 σq²) belongs",
        lambda x: (2.0 * x.var_p, x.delta.square() / x.var_q),
    ),
    _quotient(
        "a parenthesis is missing: (σp² + Δ²) / 2 * σq², where (σp² + Δ²) / (2 * σq²) belongs",
        lambda x: (x.var_p * x.var_q, x.delta.square() * x.var_q),
    ),
    _quotient("the division by σq² is missing", lambda x: (x.var_p, x.delta.square())),
    _quotient(
        "the square of the means is divided by the covariance of p, not of q",
        lambda x: (x.var_p / x.var_q, x.delta.square() / x.var_p),
    ),
    *(
        _quotient(
            f"{epsilon:g} is added to σq² in the denominator",
            lambda x, epsilon=epsilon: (x.var_p / (x.var_q + epsilon), x.delta.square() / (x.var_q + epsilon)),  # type: ignore[misc]
            rare=True,
        )
        for epsilon in EPSILONS
    ),
)

# The factors of log_det, −d, trace and square.
WHOLE: tuple[Change[tuple[float, float, float, float]], ...] = (
    Change(None, (0.5, 0.5, 0.5, 0.5)),
    Change("the factor ½ is missing", (1.0, 1.0, 1.0, 1.0)),
    Change("the factor ½ is taken twice", (0.25, 0.25, 0.25, 0.25)),
    Change(
        "a parenthesis is missing: −0.5 * 1 + logvar − mu² − e^logvar, where −0.5 * (1 + … − e^logvar) belongs",
        (-1.0, 0.5, -1.0, -1.0),
    ),
    Change(
        "a parenthesis closes too early: −0.5 * (1 + logvar) − mu² − e^logvar, where −0.5 * (1 + … − e^logvar) belongs",
        (0.5, 0.5, -1.0, -1.0),
    ),
    Change("a parenthesis is missing: the factor ½ is that of the logarithm alone", (0.5, 1.0, 1.0, 1.0)),
    Change("a parenthesis is missing: the factor ½ is that of tr(Σq⁻¹ Σp) alone", (1.0, 1.0, 0.5, 1.0)),
    Change("a parenthesis is missing: the factor ½ is that of the means alone", (1.0, 1.0, 1.0, 0.5)),
)

SIGN = (
    Change(None, 1.0),
    Change("the sign is wrong: a divergence is not negative", -1.0),
)

UNIT = (
    Change(None, 1.0),
    Change("the value is in bits: multiply it by log 2 for nats", 1.0 / math.log(2.0)),
    Change("nats are taken for bits: the value has been multiplied by log 2", math.log(2.0)),
    Change("the value is in decimal digits: multiply it by log 10 for nats", 1.0 / math.log(10.0)),
)


def reductions(batch: torch.Size, event: torch.Size, *, of_rows: bool) -> tuple[Change[float], ...]:
    """What the mean over the batch is multiplied by, or each row (``of_rows``).

    The mean over the batch and the sum over it are both correct, and stand first.
    """
    rows = 1 if of_rows else batch.numel()
    correct = [Change(None, float(x)) for x in dict.fromkeys((1, rows))]
    found: dict[float, Change[float]] = {}

    def add(mistake: str, divisor: int, numerator: int = rows) -> None:
        factor = numerator / divisor
        if divisor and factor not in found and all(factor != x.effect for x in correct):
            found[factor] = Change(mistake, factor)

    d = event.numel()
    if of_rows or not batch:
        add("the mean over the coordinates is taken instead of their sum", d)
    else:
        add("the mean over everything is taken: the coordinates should be summed, only the batch averaged", rows * d)
        add("the mean over the coordinates is taken instead of their sum, and the sum over the batch", d)
        add("the mean over the batch is divided by the batch size once more", rows * rows)
        for name, n in _parts(batch):
            add(f"the mean is taken over dimension {name} of the batch alone, and the sum over the others", n)
    for name, n in _parts(event):
        add(f"the sum over the coordinates is divided by {n}, the size of dimension {name} of the event", n * rows)
        if rows > 1:
            add(f"the sum over everything is divided by {n}, the size of dimension {name} of the event", n)
    return (*correct, *found.values())


def _parts(shape: torch.Size) -> list[tuple[str, int]]:
    """The dimensions of a shape of several, and all but one of them: their names and their sizes."""
    k = len(shape)
    if k < 2:
        return []
    single = [(str(i), shape[i]) for i in range(k)]
    rest = [(f"0 to {k - 1} without {i}", shape.numel() // max(1, shape[i])) for i in range(k)] if k > 2 else []
    return single + rest
