"""What maps leave of the divergence of two models: mergeable, and constant in size."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from kullback.alignment.fits import Kind
from kullback.alignment.fitting import is_fitted
from kullback.alignment.maps import Map, remainder
from kullback.alignment.rows import flattened
from kullback.comparison.divergence_summary import Batch, Largest
from kullback.comparison.summary import VALUES
from kullback.comparison.summary_json import from_json, to_json
from kullback.io.rows import RowBatch
from kullback.numerics.moments import RunningMean, ValueMoments
from kullback.numerics.sampling import RowSample, level_for

FORMAT = "kullback.leftovers"


class _Halves:
    """A batch of rows of p and q in two: those that no map was fitted to, and the others."""

    def __init__(self, rows: RowBatch) -> None:
        p, q = (flattened(Batch.of(g).given) for g in rows.gaussians)
        fitted = is_fitted(rows.numbers)
        self._indices = (~fitted).nonzero().flatten(), fitted.nonzero().flatten()
        self.held_out, self.fitted = ((p[i], q[i]) for i in self._indices)

    def in_order(self, held_out: Tensor, fitted: Tensor) -> Tensor:
        """One number for each row of both halves, in the order of the rows."""
        values = held_out.new_empty(len(held_out) + len(fitted))
        for index, half in zip(self._indices, (held_out, fitted), strict=True):
            values[index] = half
        return values


@dataclass(frozen=True, eq=False)
class Leftover:
    """What one map g leaves. Means are those of the rows that it was not fitted to."""

    aligned: ValueMoments
    """KL(g·p‖q)."""
    reverse: ValueMoments
    """KL(q‖g·p)."""
    per_dimension: RunningMean
    """The mean of KL(g·p‖q) in each dimension of q, without correlations."""
    from_correlations: RunningMean
    """What it leaves in correlations between dimensions."""
    values: RowSample
    """KL(g·p‖q) of rows of both halves: of all, or of a sample if there are more than a million."""
    largest: Largest
    """The largest of all rows."""

    @classmethod
    def of(cls, halves: "_Halves", g: Map, rows: RowBatch, kept: int, expected: int) -> "Leftover":
        """What a map leaves of a batch of rows."""
        (p, q), of_fitted = halves.held_out, halves.fitted
        there, back = remainder(p, q, g), remainder(q, p, g.inverse())
        values = halves.in_order(there.rows, remainder(*of_fitted, g).rows)
        return cls(
            ValueMoments.of(there.rows),
            ValueMoments.of(back.rows),
            RunningMean(len(p), there.marginals / max(1, len(p))),
            RunningMean.of(there.from_correlations),
            RowSample.of(rows.numbers, [values], VALUES, level_for(expected, VALUES)),
            Largest.of(values, rows.ids, rows.numbers, kept),
        )

    def merge(self, other: "Leftover") -> "Leftover":
        """What the map leaves of the rows of both."""
        return Leftover(
            self.aligned.merge(other.aligned),
            self.reverse.merge(other.reverse),
            self.per_dimension.merge(other.per_dimension),
            self.from_correlations.merge(other.from_correlations),
            self.values.merge(other.values),
            self.largest.merge(other.largest),
        )

    def rows(self) -> Tensor:
        """The values in the order of rows."""
        return self.values.rows()[1][0]


@dataclass(frozen=True, eq=False)
class Leftovers:
    """What each of several maps leaves; that of no rows is the identity of ``merge``."""

    of: Mapping[Kind, Leftover]

    def update(self, rows: RowBatch, maps: Mapping[Kind, Map], kept: int, expected: int) -> "Leftovers":
        """With a batch of rows added."""
        if not len(rows):
            return self
        halves = _Halves(rows)
        return self.merge(Leftovers({kind: Leftover.of(halves, g, rows, kept, expected) for kind, g in maps.items()}))

    def compact(self) -> "Leftovers":
        """The same in as little memory."""
        return Leftovers({kind: replace(left, values=left.values.compact()) for kind, left in self.of.items()})

    def merge(self, other: "Leftovers") -> "Leftovers":
        """Those of the rows of both."""
        if not self.of or not other.of:
            return self if self.of else other
        return Leftovers({kind: left.merge(other.of[kind]) for kind, left in self.of.items()})

    def to_json(self) -> str:
        """As text, to the last bit; ``docs/formats.md`` describes it."""
        return to_json(self, FORMAT)

    @classmethod
    def from_json(cls, text: str) -> "Leftovers":
        """What :meth:`to_json` wrote.

        Raises:
            PosteriorFileError: if the text is of another format or version, or damaged.
        """
        return from_json(text, cls, FORMAT)
