"""The value of the closed form with some mistakes made in it."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import combinations, product
from typing import Any, NamedTuple

from torch import Tensor

from kullback.explanation import mistakes
from kullback.explanation.mistakes import Change
from kullback.explanation.readings import readings
from kullback.explanation.terms import Terms
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.tensors import broadcast_shapes

# The most mistakes that are combined, and the most coordinates in the whole batch for which so many are.
MOST_MISTAKES = 3
_MANY_COORDINATES = 1_000_000


class Choice(NamedTuple):
    """An entry of the table of each place; 0 is correct."""

    reading: int = 0
    order: int = 0
    log_det: int = 0
    dimension: int = 0
    quotient: int = 0
    whole: int = 0
    sign: int = 0
    unit: int = 0
    reduction: int = 0


_PLACES = Choice._fields


class ClosedForm:
    """½(log_det − d + trace + square) of two Gaussians, and what becomes of it by mistakes.

    What depends on the batch is linear in its rows, so that a mean over them is computed once for each term.
    """

    def __init__(self, p: Gaussian, q: Gaussian, *, of_rows: bool, to_prior: bool) -> None:
        """``of_rows``: each row has a value, and not their mean or sum. ``to_prior``: as for :func:`readings`."""
        batch = broadcast_shapes(p.batch_shape, q.batch_shape)
        self.coordinates = batch.numel() * p.event_size
        self.tables: tuple[tuple[Change[Any], ...], ...] = (
            tuple(readings(p, q, to_prior=to_prior)), mistakes.ORDER, mistakes.LOG_DET, mistakes.DIMENSION,
            mistakes.QUOTIENT, mistakes.WHOLE, mistakes.SIGN, mistakes.UNIT,
            mistakes.reductions(batch, p.event_shape, of_rows=of_rows),
        )  # fmt: skip
        self._d = p.event_size
        # Of the last choice alone: they are as large as the Gaussians.
        self._terms: tuple[tuple[int, int], Terms] | None = None
        self._means: dict[tuple[int, ...], tuple[float, ...]] = {}

    def choices(self, n_mistakes: int) -> Iterator[Choice]:
        """Every choice with this many mistakes. What is rare goes with one other at the most, of another kind: epsilons
        in two places differ too little, and threes of them would be a hundred thousand.
        """
        for places in combinations(range(len(self.tables)), n_mistakes):
            for entries in product(*(self._wrong[place] for place in places)):
                rare = sum(self.tables[place][entry].rare for place, entry in zip(places, entries, strict=True))
                if rare and (
                    n_mistakes > 2 or rare > 1 or (n_mistakes == 2 and places[0] == 0 and places[1] in (2, 4))
                ):
                    continue
                choice = Choice()._replace(
                    **{_PLACES[place]: entry for place, entry in zip(places, entries, strict=True)}
                )
                for reduction in (choice.reduction,) if choice.reduction else self._correct_reductions:
                    yield choice._replace(reduction=reduction)

    @property
    def most_mistakes(self) -> int:
        """The most mistakes for which all combinations are computed in seconds."""
        return MOST_MISTAKES if self.coordinates <= _MANY_COORDINATES else MOST_MISTAKES - 1

    def names(self, choice: Choice) -> tuple[str, ...]:
        """The mistakes that are made."""
        changes = (table[entry] for table, entry in zip(self.tables, choice, strict=True))
        return tuple(change.mistake for change in changes if change.mistake is not None)

    def mean(self, choice: Choice) -> float:
        """The mean over the batch, or what it is multiplied by instead."""
        return float(self._combined(choice, *self._of_log_det(choice), *self._of_quotient(choice)))

    def rows(self, choice: Choice) -> Tensor:
        """The value of each row."""
        terms = self._of_pair(choice)
        log_det = self.tables[2][choice.log_det].effect(terms)
        return self._combined(choice, log_det, *self.tables[4][choice.quotient].effect(terms))  # type: ignore[no-any-return]

    def _combined(self, choice: Choice, log_det: Any, trace: Any, square: Any) -> Any:
        a, b, c, e = self.tables[5][choice.whole].effect
        value = a * log_det + b * self.tables[3][choice.dimension].effect(self._d) + c * trace + e * square
        factors = (table[entry].effect for table, entry in zip(self.tables[6:], choice[6:], strict=True))
        return math.prod(factors) * value

    def _of_pair(self, choice: Choice) -> Terms:
        key = choice[:2]
        if self._terms is None or self._terms[0] != key:
            read = self.tables[0][choice.reading].effect
            self._terms = key, Terms.of(*self.tables[1][choice.order].effect(*read()))
        return self._terms[1]

    def _of_log_det(self, choice: Choice) -> tuple[float, ...]:
        effect = self.tables[2][choice.log_det].effect
        return self._mean_of((2, *choice[:2], choice.log_det), lambda t: (effect(t),), choice)

    def _of_quotient(self, choice: Choice) -> tuple[float, ...]:
        return self._mean_of((4, *choice[:2], choice.quotient), self.tables[4][choice.quotient].effect, choice)

    def _mean_of(
        self, key: tuple[int, ...], effect: Callable[[Terms], tuple[Tensor, ...]], choice: Choice
    ) -> tuple[float, ...]:
        if key not in self._means:
            self._means[key] = tuple(float(x.mean()) for x in effect(self._of_pair(choice)))
        return self._means[key]

    @cached_property
    def _correct_reductions(self) -> tuple[int, ...]:
        return tuple(i for i, change in enumerate(self.tables[-1]) if change.mistake is None)

    @cached_property
    def _wrong(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(i for i, x in enumerate(table) if x.mistake is not None) for table in self.tables)
