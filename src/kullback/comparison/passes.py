"""The passes over the rows of models: their summary, and what maps leave."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import torch

from kullback.alignment.fits import Kind
from kullback.alignment.fitting import Plan
from kullback.alignment.maps import Map
from kullback.alignment.rows import flattened, in_full
from kullback.comparison.leftover import Leftovers
from kullback.comparison.summary import Summary
from kullback.engines.base import Engine
from kullback.gaussians.gaussian import Gaussian
from kullback.io.rows import ModelRows

# How many numbers of a mean a task has at least: enough that what it costs to start and to merge one is small.
_NUMBERS = 2**23


class Mergeable(Protocol):
    """What adds up."""

    def merge(self, other: Any) -> Any:
        """Both as one."""


M = TypeVar("M", bound=Mergeable)


class State(Protocol):
    """Where the progress of passes is kept, so that an interrupted comparison can go on."""

    def load(self, name: str) -> tuple[int, Any] | None:
        """How many tasks of a pass are done, and what they add up to."""

    def save(self, name: str, done: int, total: Any) -> None:
        """Keep it, if it is time to."""


@dataclass(frozen=True, eq=False)
class Summarize:
    """The summary of the rows of a task."""

    rows: ModelRows
    prior: Gaussian
    empty: Summary

    def __call__(self, task: range) -> Summary:
        """By batches."""
        summary = self.empty
        for batch in self.rows.batches(task):
            summary = summary.update(batch, self.prior)
        return summary.compact()


@dataclass(frozen=True, eq=False)
class Leave:
    """What maps leave of the rows of a task."""

    rows: ModelRows
    maps: Mapping[Kind, Map]
    kept: int

    def __call__(self, task: range) -> Leftovers:
        """By batches."""
        left = Leftovers({})
        for batch in self.rows.batches(task):
            left = left.update(batch, self.maps, self.kept, len(self.rows))
        return left.compact()


def tasks_of(rows: ModelRows) -> list[range]:
    """The tasks of each pass, which can be computed independently and are added up in their order."""
    return rows.tasks(_NUMBERS)


def merged(a: M, b: M) -> M:
    """Both as one."""
    total: M = a.merge(b)
    return total


class Passes:
    """Passes over rows, by an engine; ``told`` is called with the number of rows that are done."""

    def __init__(self, rows: ModelRows, engine: Engine, state: State | None, told: Callable[[float], None]) -> None:
        self._rows, self._engine, self._state, self._told = rows, engine, state, told
        self._tasks = tasks_of(rows)

    def summary(self, prior: Gaussian, kept: int, *, has_plan: bool) -> Summary:
        """The summary of all rows, for alignments if there is to be one."""
        rows = self._rows
        plan = Plan(len(rows), self._origins()) if has_plan else None
        empty = Summary.empty(kept, plan, len(rows), rows.unmatched)
        self._kept = kept
        return self._fold("summary", Summarize(rows, prior, Summary.empty(kept, plan, len(rows))), empty)

    def leftovers(self, maps: Mapping[Kind, Map]) -> Leftovers:
        """What maps leave of all rows."""
        return self._fold("leftovers", Leave(self._rows, maps, self._kept), Leftovers({}))

    def _origins(self) -> Any:
        """The means of the first rows of both models: points near those of all rows."""
        for batch in itertools.chain.from_iterable(map(self._rows.batches, self._tasks)):
            if len(batch):
                return tuple(flattened(in_full(g)).mean.mean(0) for g in batch.gaussians)
        return tuple(torch.zeros(self._rows.event_shape.numel(), dtype=torch.float64) for _ in self._rows.models)

    def _fold(self, name: str, work: Callable[[range], M], empty: M) -> M:
        done, total = (self._state.load(name) if self._state else None) or (0, empty)
        self._told(sum(map(len, self._tasks[:done])))
        for count, part in self._engine.map(work, self._tasks[done:], merged):
            total = merged(total, part)
            self._told(sum(map(len, self._tasks[done : done + count])))
            done += count
            if self._state:
                self._state.save(name, done, total)
        return total
