"""Two batches cut into blocks of pairs: tasks of an engine, each with what it needs and no more."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar, overload

from kullback.engines.base import Engine
from kullback.gaussians.gaussian import Gaussian

R = TypeVar("R")
Place = tuple[slice, slice]


class Block(NamedTuple):
    """Some Gaussians of p and some of q, and which they are."""

    rows: slice
    columns: slice
    p: Gaussian
    q: Gaussian


class Blocks(Sequence[Block]):
    """All blocks, row by row. One is cut when it is asked for, and holds copies, so that it can be sent."""

    def __init__(self, p: Gaussian, q: Gaussian, places: Sequence[Place]) -> None:
        self._p, self._q = p, q
        self.places = places

    @classmethod
    def of(cls, p: Gaussian, q: Gaussian, rows: int, columns: int) -> "Blocks":
        """Blocks of so many rows and columns, or of fewer at the ends."""
        parts = [[slice(i, min(i + n, len(g))) for i in range(0, len(g), n)] for g, n in ((p, rows), (q, columns))]
        return cls(p, q, list(itertools.product(*parts)))

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Block: ...

    @overload
    def __getitem__(self, index: slice) -> "Blocks": ...

    def __getitem__(self, index: int | slice) -> "Block | Blocks":
        if isinstance(index, slice):
            return Blocks(self._p, self._q, self.places[index])
        rows, columns = self.places[index]
        return Block(rows, columns, _copied(self._p, rows), _copied(self._q, columns))


def _copied(g: Gaussian, rows: slice) -> Gaussian:
    """These rows, without the memory of the others."""
    part = g[rows]
    scale = part.scale.map(lambda x, _: x.clone(), g.event_dims)
    return Gaussian(part.mean.clone(), scale, g.event_dims, g.array_kind)


def results(work: Callable[[Block], R], blocks: Blocks, engine: Engine | None) -> Iterator[tuple[Place, R]]:
    """The rows and columns of each block, and its result, in order; without an engine one after the other, here."""
    made = map(work, blocks) if engine is None else (result for _, result in engine.map(work, blocks))
    yield from zip(blocks.places, made, strict=True)
