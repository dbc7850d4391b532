"""The search for the fewest mistakes that give a value, and how far chance may give it.

There are about a hundred mistakes, thousands of pairs of them and ten thousand threes, and so many numbers are
dense: any number lies near one. A combination explains a value only if few of those as simple lie as near to a number
of its size. So the digits of the value decide how many mistakes may be found in it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.explanation.closed_form import Choice, ClosedForm
from kullback.explanation.other_formulas import Other, inexact_formulas, other_divergences
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.base import have_densities

Mistakes = tuple[str, ...]

# The share of numbers of the size of the value that some combination as simple explains, at the most; and those that
# are worth a mention, of a value that is written with too few digits.
_CHANCE, _CHANCE_OF_PERHAPS = 0.003, 0.2

# The relative precision to which the imitated value and the value itself are taken to be computed.
_PRECISION = 1e-9


@dataclass(frozen=True, eq=False)
class Asked:
    """A value that is to be explained: one number, or one for each row."""

    value: Tensor
    tolerance: Tensor
    """How far a candidate may be from it."""
    rounding: float
    """Half a unit in its last decimal; 0 if it is written with all digits."""

    def fits(self, rows: Tensor, noise: float = 0.0) -> bool:
        """Whether rows give the value, as they are, or as their mean or sum."""
        candidates = [rows] if self.value.ndim or not rows.ndim else [rows.mean(), rows.sum()]
        return any(
            x.shape == self.value.shape and bool(((x - self.value).abs() <= self.tolerance + 4.0 * noise).all())
            for x in candidates
        )


@dataclass(frozen=True)
class Verdict:
    """The combinations of mistakes that give a value, and those that would if its digits were enough to tell."""

    mistakes: tuple[Mistakes, ...] = ()
    perhaps: tuple[Mistakes, ...] = ()
    chance: float = 0.0
    """The share of numbers of the size of the value that as many mistakes would explain, if it is not small."""


def search(p: Gaussian, q: Gaussian, asked: Asked, *, to_prior: bool) -> Verdict:
    """The fewest mistakes that give the value. ``to_prior``: as for :func:`readings`.

    Of singular covariances only other divergences: the terms of the closed form have inverses and determinants.
    """
    others = tuple((x.mistake,) for x in other_divergences(p, q) if _is(x, asked))
    if not have_densities(p, q):
        return Verdict(others)
    form = ClosedForm(p, q, of_rows=asked.value.ndim > 0, to_prior=to_prior)
    perhaps = Verdict()
    for n_mistakes in range(1, form.most_mistakes + 1):
        verdict = _of_combinations(form, asked, n_mistakes)
        if n_mistakes == 1:
            verdict = Verdict(verdict.mistakes + others)
        if verdict.mistakes:
            return verdict
        if verdict.chance and not perhaps.perhaps:
            perhaps = verdict
    inexact = tuple((x.mistake,) for x in inexact_formulas(p, q) if _is(x, asked))
    return Verdict(inexact) if inexact else perhaps


def _of_combinations(form: ClosedForm, asked: Asked, n_mistakes: int) -> Verdict:
    """The combinations of so many mistakes that give the value, the nearest first."""
    value, tolerance = float(asked.value.mean()), float(asked.tolerance.mean())
    size = abs(value)
    near: list[tuple[float, Choice]] = []
    alike: set[str] = set()
    for choice in form.choices(n_mistakes):
        candidate = form.mean(choice)
        if 0.5 * size <= math.copysign(1.0, value) * candidate <= 2.0 * size:
            alike.add(f"{candidate:.9g}")
            if abs(candidate - value) <= tolerance:
                near.append((abs(candidate - value), choice))
    if asked.value.ndim:
        near = [(x, choice) for x, choice in near if asked.fits(form.rows(choice))]
    if not near:
        return Verdict()
    near.sort(key=lambda x: x[0])
    finest = max(asked.rounding, _PRECISION * size)
    # Of what fits much better than the rest, the rest is not worth a word.
    limit = max(10.0 * near[0][0], 1e-7 * size, finest)
    mistakes = tuple(dict.fromkeys(form.names(choice) for distance, choice in near if distance <= limit))
    if n_mistakes == 1:
        return Verdict(mistakes)
    chance = 2.0 * max(near[0][0], finest) * len(alike) / (1.5 * size) if size else 1.0
    chance **= asked.value.numel()
    if chance <= _CHANCE:
        return Verdict(mistakes)
    if asked.rounding < 0.1 * tolerance:
        return Verdict()
    return Verdict((), mistakes if chance <= _CHANCE_OF_PERHAPS else (), chance)


def _is(other: Other, asked: Asked) -> bool:
    """Whether a formula gives the value, and does not draw so coarsely that it would give any."""
    is_coarse = 8.0 * other.noise > _CHANCE * float(asked.value.abs().mean())
    return not is_coarse and bool(torch.isfinite(other.value).all()) and asked.fits(other.value, other.noise)
