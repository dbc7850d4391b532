"""A sample of rows of models, for what cannot be computed from all of them: aggregated posteriors, and random pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from kullback.alignment.rows import in_full
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.sampling import RowSample, bits_of, in_level, level_for

# How many numbers a reservoir holds of diagonal Gaussians, and of others; and the fewest rows.
_DIAGONAL_NUMBERS, _MATRIX_NUMBERS = 2**22, 2**24
_FEWEST_ROWS = 256


@dataclass(frozen=True, eq=False)
class Reservoir:
    """Some rows of each model; which, only their numbers determine."""

    sample: RowSample
    templates: tuple[Gaussian, ...]
    """No rows of each model, which say what its columns are."""

    @classmethod
    def of(cls, numbers: Tensor, gaussians: Sequence[Gaussian], expected: int) -> "Reservoir":
        """The sample in float64 of a batch of rows, of which about so many are expected in all."""
        templates = tuple(_no_rows(g) for g in gaussians)
        per_row = sum(x[0].numel() for g in gaussians for x in _columns(in_full(g[:1])))
        is_diagonal = all(g.scale.is_diagonal for g in gaussians)
        fewest = 16 * gaussians[0].event_size if is_diagonal else 0
        capacity = max((_DIAGONAL_NUMBERS if is_diagonal else _MATRIX_NUMBERS) // per_row, fewest, _FEWEST_ROWS)
        level = level_for(expected, capacity)
        index = in_level(bits_of(numbers), level).nonzero().flatten()
        columns = [x for g in gaussians for x in _columns(in_full(g[index]))]
        return cls(RowSample.of(numbers[index], columns, capacity, level), templates)

    def merge(self, other: "Reservoir") -> "Reservoir":
        """The sample of the rows of both."""
        return Reservoir(self.sample.merge(other.sample), self.templates)

    def compact(self) -> "Reservoir":
        """The same in as little memory."""
        return Reservoir(self.sample.compact(), self.templates)

    def rows(self) -> tuple[Tensor, tuple[Gaussian, ...]]:
        """The numbers of all rows, ascending, and the rows of each model."""
        return self._gaussians(*self.sample.rows())

    def first(self, rows: int) -> tuple[Tensor, tuple[Gaussian, ...]]:
        """So many rows, or all if there are fewer."""
        return self._gaussians(*self.sample.first(rows))

    def _gaussians(self, numbers: Tensor, columns: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Gaussian, ...]]:
        left = iter(columns)
        found = []
        for template in self.templates:
            mean = next(left)
            scale = template.scale.map(lambda x, _: next(left), template.event_dims)
            found.append(Gaussian(mean, scale, template.event_dims))
        return numbers, tuple(found)


def _columns(g: Gaussian) -> list[Tensor]:
    return [g.mean, *(part for part, _ in g.scale.parts(g.event_dims))]


def _no_rows(g: Gaussian) -> Gaussian:
    """No rows of a batch in float64, whose memory is not kept."""
    none = in_full(g[:0])
    return Gaussian(none.mean.clone(), none.scale.map(lambda x, _: x.clone(), none.event_dims), none.event_dims)
