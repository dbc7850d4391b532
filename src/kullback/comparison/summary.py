"""A mergeable summary of one model, or of two and the divergences between them, accumulated over batches of rows.

``Summary.empty`` is the identity of ``merge``, ``update`` adds a batch of rows, and ``merge`` combines two summaries.
The order of merging changes only the last digits of sums, so that one type serves a file read in batches, data-parallel
workers and a cluster. Its size does not depend on the number of rows: of up to a million of them it keeps the values,
so that quantiles are exact, and of more a sample of half a million at least, which their numbers alone determine.
"""

import itertools
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from kullback.alignment.fitting import Fitting, Plan
from kullback.comparison.divergence_summary import Batch, BatchDivergences, DivergenceSummary
from kullback.comparison.pair import MODELS, Pair
from kullback.comparison.reservoir import Reservoir
from kullback.comparison.summary_json import from_json, to_json
from kullback.gaussians.gaussian import Gaussian
from kullback.io.rows import NONE_SKIPPED, RowBatch, Skipped
from kullback.kernels.choice import accelerated_moments
from kullback.numerics.moments import RunningMean, RunningMoments
from kullback.numerics.sampling import RowSample, level_for

FORMAT = "kullback.summary"

VALUES = 2**20
"""How many rows the values of divergences are kept of at most."""


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """One model over some rows: its divergence from a prior, and the moments of its posteriors."""

    rate: DivergenceSummary
    means: RunningMoments
    """Of the means of the posteriors, by whose variance a dimension is active."""
    variances: RunningMean
    """Of the variances of the posteriors."""

    @classmethod
    def of(cls, rate: DivergenceSummary, batch: Batch) -> "ModelSummary":
        """That of a batch of rows, whose rate is given."""
        moments = accelerated_moments(batch.given)
        if moments is not None:
            n = rate.values.count
            return cls(rate, RunningMoments(n, moments.mean, moments.squares), RunningMean(n, moments.variance))
        g = batch.full
        variances = g.scale.variances(g.event_shape).broadcast_to(g.mean.shape)
        return cls(rate, RunningMoments.of(g.mean), RunningMean.of(variances))

    def merge(self, other: "ModelSummary") -> "ModelSummary":
        """The summary over the rows of both."""
        return ModelSummary(
            self.rate.merge(other.rate), self.means.merge(other.means), self.variances.merge(other.variances)
        )


@dataclass(frozen=True, eq=False)
class Summary:
    """One model, or two, over some rows: each by itself, and the divergences between two."""

    models: dict[str, ModelSummary]
    between: dict[Pair, DivergenceSummary]
    kept: int
    """How many of the largest values of each divergence are kept."""
    plan: Plan | None
    """How rows are used for an alignment; None if there is to be none."""
    expected: int
    """About how many rows there will be; the samples of parts are the smaller the more."""
    values: RowSample | None = None
    """The values of every divergence, in the order of ``divergences``, of up to a million rows."""
    reservoir: Reservoir | None = None
    """Some rows of each model."""
    fitting: Fitting | None = None
    """What maps are fitted to."""
    skipped: Skipped = NONE_SKIPPED
    """The rows that were left out."""

    @classmethod
    def empty(
        cls, kept: int = 10, plan: Plan | None = None, expected: int = 0, skipped: Skipped = NONE_SKIPPED
    ) -> "Summary":
        """The summary of no rows, some of which may have been left out."""
        return cls({}, {}, kept, plan, expected, skipped=skipped)

    @property
    def count(self) -> int:
        """The number of rows."""
        return int(self.models["a"].means.count) if self.models else 0

    @property
    def divergences(self) -> dict[Pair, DivergenceSummary]:
        """The divergences between the models, and those of each from the prior."""
        return self.between | {Pair.rate(name): model.rate for name, model in self.models.items()}

    @property
    def sampled(self) -> int | None:
        """Of how many rows the values are kept; None if those of all are."""
        return None if self.values is None or len(self.values) == self.count else len(self.values)

    def rows(self, pair: Pair) -> Tensor:
        """The values of one divergence in the order of rows: of all of them, or of a sample if there are more than a
        million.
        """
        assert self.values is not None
        place = list(self.divergences).index(pair)
        return self.values.rows()[1][place]

    def update(self, rows: RowBatch, prior: Gaussian) -> "Summary":
        """The summary with a batch of rows added, computed in float64."""
        if not len(rows):
            return replace(self, skipped=self.skipped.merge(rows.skipped))
        return self.merge(self._of(rows, Batch.of(prior)))

    def _of(self, rows: RowBatch, prior: Batch) -> "Summary":
        named = {name: Batch.of(g) for name, g in zip(MODELS, rows.gaussians, strict=False)}
        sides = {Pair(p + q): (named[p], named[q]) for p, q in itertools.permutations(named, 2)}
        sides |= {Pair.rate(name): (g, prior) for name, g in named.items()}
        found = {pair: BatchDivergences.of(*of) for pair, of in sides.items()}
        divergences = {
            pair: DivergenceSummary.of(of, *sides[pair], rows.ids, rows.numbers, self.kept)
            for pair, of in found.items()
        }
        return Summary(
            {name: ModelSummary.of(divergences.pop(Pair.rate(name)), g) for name, g in named.items()},
            divergences,
            self.kept,
            self.plan,
            self.expected,
            RowSample.of(
                rows.numbers, [of.values for of in found.values()], VALUES, level_for(self.expected, VALUES)
            ),
            Reservoir.of(rows.numbers, [g.given for g in named.values()], self.expected),
            None
            if self.plan is None
            else Fitting.of(
                named["a"].given, named["b"].given, found[Pair.AB].values, found[Pair.BA].values, rows.numbers,
                self.plan,
            ),
            rows.skipped,
        )  # fmt: skip

    def compact(self) -> "Summary":
        """The same in as little memory."""
        if self.values is None or self.reservoir is None:
            return self
        return replace(self, values=self.values.compact(), reservoir=self.reservoir.compact())

    def merge(self, other: "Summary") -> "Summary":
        """The summary over the rows of both."""
        skipped = self.skipped.merge(other.skipped)
        if not self.models or not other.models:
            return replace(self if self.models else other, skipped=skipped)
        return Summary(
            {name: model.merge(other.models[name]) for name, model in self.models.items()},
            {pair: divergence.merge(other.between[pair]) for pair, divergence in self.between.items()},
            self.kept,
            self.plan,
            self.expected,
            _merged(self.values, other.values),
            _merged(self.reservoir, other.reservoir),
            _merged(self.fitting, other.fitting),
            skipped,
        )

    def to_json(self) -> str:
        """The summary as text, to the last bit; ``docs/formats.md`` describes it."""
        return to_json(self, FORMAT)

    @classmethod
    def from_json(cls, text: str) -> "Summary":
        """The summary that :meth:`to_json` wrote.

        Raises:
            PosteriorFileError: if the text is of another format or version, or damaged.
        """
        return from_json(text, cls, FORMAT)


def _merged(a: Any, b: Any) -> Any:
    """Both as one; None if there are none."""
    return None if a is None or b is None else a.merge(b)
