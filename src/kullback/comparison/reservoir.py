"""A sample of rows of models, for what cannot be computed from all of them: aggregated posteriors, and random pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.sampling import RowSample, level_for

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
        """The sample of a batch of rows, of which about so many are expected in all."""
        columns = [x for g in gaussians for x in (g.mean, *(part for part, _ in g.scale.parts(g.event_dims)))]
        per_row = sum(x[0].numel() for x in columns)
        is_diagonal = all(g.scale.is_diagonal for g in gaussians)
        fewest = 16 * gaussians[0].event_size if is_diagonal else 0
        capacity = max((_DIAGONAL_NUMBERS if is_diagonal else _MATRIX_NUMBERS) // per_row, fewest, _FEWEST_ROWS)
        sample = RowSample.of(numbers, columns, capacity, level_for(expected, capacity))
        return cls(sample, tuple(_no_rows(g) for g in gaussians))

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


def _no_rows(g: Gaussian) -> Gaussian:
    """No rows of a batch, whose memory is not kept."""
    scale = g.scale.map(lambda x, _: x[:0].clone(), g.event_dims)
    return Gaussian(g.mean[:0].clone(), scale, g.event_dims)
