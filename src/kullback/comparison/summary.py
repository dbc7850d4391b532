"""A mergeable summary of one model, or of two and the divergences between them, accumulated over batches of rows.

``Summary.empty`` is the identity of ``merge``, ``update`` adds a batch of rows, and ``merge`` combines two summaries.
The order of merging changes only the last digits of sums, so that one type serves a file read in batches, data-parallel
workers and a cluster. Besides sums, a summary keeps one float64 for each row and divergence; quantiles are exact.
"""

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.alignment.rows import in_full
from kullback.divergences.kl import kl_divergence, kl_terms
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import from_callers_type
from kullback.pairs.base import have_densities
from kullback.pairs.dispatch import marginals

MODELS = ("a", "b")
"""What ``Summary.models`` calls its models, the only one or both."""


class Pair(str, enum.Enum):
    """The ordered pairs (p, q) of which a comparison contains KL(p‖q). Each equals its string, as JSON keys do."""

    AB = "ab"
    BA = "ba"
    RATE_A = "rate_a"
    RATE_B = "rate_b"

    @classmethod
    def rate(cls, model: str) -> "Pair":
        """The pair of model ``"a"`` or ``"b"`` and the prior; its divergence is the rate of the model."""
        return cls(f"rate_{model}")

    @classmethod
    def _missing_(cls, value: object) -> "Pair":
        raise ValueError(f"expected one of {', '.join(repr(pair.value) for pair in cls)}, got {value!r}.")

    @property
    def key(self) -> str:
        """The prefix of the names of scalars: ``kl_ab``, ``kl_ba``, ``rate_a`` or ``rate_b``."""
        return self.value if self in (Pair.RATE_A, Pair.RATE_B) else f"kl_{self.value}"

    def label(self, a: str, b: str = "") -> str:
        """The divergence as a formula, for models called ``a`` and, if there are two, ``b``."""
        p, q = {Pair.AB: (a, b), Pair.BA: (b, a), Pair.RATE_A: (a, "prior"), Pair.RATE_B: (b, "prior")}[self]
        return f"KL({p}‖{q})"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """The mean over rows and the sum of squared deviations from it, elementwise (Chan, Golub and LeVeque 1979)."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "RunningMoments":
        """The moments over the first dimension of a tensor."""
        mean = rows.mean(0)
        return cls(len(rows), mean, (rows - mean).square().sum(0))

    def merge(self, other: "RunningMoments") -> "RunningMoments":
        """The moments over the rows of both."""
        count = self.count + other.count
        # A weighted mean keeps an infinite mean infinite; mean + step * weight would turn it into NaN.
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        step = other.mean - self.mean
        return RunningMoments(
            count, mean, self.squares + other.squares + step.square() * (self.count * other.count / count)
        )

    @property
    def variance(self) -> Tensor:
        """The unbiased variance over rows; NaN for a single row."""
        return self.squares / (self.count - 1) if self.count > 1 else torch.full_like(self.squares, torch.nan)


@dataclass(frozen=True, eq=False)
class Largest:
    """The largest values in descending order, the ids of their rows, and the two Gaussians of the first."""

    values: tuple[float, ...]
    ids: tuple[Any, ...]
    pair: tuple[Gaussian, Gaussian]
    kept: int

    @classmethod
    def of(cls, values: Tensor, ids: Sequence[Any], p: Gaussian, q: Gaussian, kept: int) -> "Largest":
        """The ``kept`` largest values of a batch; of equal values the earlier row comes first."""
        top = values.argsort(descending=True, stable=True)[:kept].tolist()
        first = p[top[0]], q[top[0]] if q.batch_shape else q
        return cls(tuple(values[top].tolist()), tuple(ids[i] for i in top), first, kept)

    def merge(self, other: "Largest") -> "Largest":
        """The largest values of both."""
        both = list(zip(self.values + other.values, self.ids + other.ids, strict=True))
        both = sorted(both, key=lambda entry: -entry[0])[: self.kept]
        pair = self.pair if self.values[0] >= other.values[0] else other.pair
        return Largest(tuple(v for v, _ in both), tuple(i for _, i in both), pair, self.kept)


@dataclass(frozen=True, eq=False)
class DivergenceSummary:
    """One divergence: its value for every row, and the contribution of each dimension to its mean.

    The contribution of a dimension is the divergence of its marginals, of which ``from_means`` and ``from_variances``
    are the two terms. ``from_correlations``, a single number, is the rest, which is 0 for diagonal Gaussians.
    """

    values: tuple[Tensor, ...]
    from_means: RunningMoments
    from_variances: RunningMoments
    from_correlations: RunningMoments
    largest: Largest

    @classmethod
    def of(
        cls, p: Gaussian, q: Gaussian, ids: Sequence[Any], kept: int, given: tuple[Gaussian, Gaussian]
    ) -> "DivergenceSummary":
        """The summary of KL(p‖q) over a batch of rows; ``given`` are both in the precision in which they are given."""
        from_means, from_variances = kl_terms(marginals(p), marginals(q))
        by_marginals = (from_means + from_variances).flatten(1).sum(1)
        is_diagonal = p.scale.is_diagonal and q.scale.is_diagonal
        if is_diagonal:
            values = by_marginals
        elif not have_densities(p, q):
            # Whether two supports are one depends on the precision of the numbers that say so.
            values = from_callers_type(kl_divergence(*given)).to(by_marginals)
        else:
            values = kl_divergence(p, q)
        return cls(
            (values,),
            RunningMoments.of(from_means),
            RunningMoments.of(from_variances),
            RunningMoments.of(torch.zeros_like(values) if is_diagonal else values - by_marginals),
            Largest.of(values, ids, p, q, kept),
        )

    def merge(self, other: "DivergenceSummary") -> "DivergenceSummary":
        """The summary over the rows of both."""
        return DivergenceSummary(
            self.values + other.values,
            self.from_means.merge(other.from_means),
            self.from_variances.merge(other.from_variances),
            self.from_correlations.merge(other.from_correlations),
            self.largest.merge(other.largest),
        )

    @property
    def per_dimension(self) -> Tensor:
        """The contribution of each dimension to the mean divergence, of the shape of the event."""
        return self.from_means.mean + self.from_variances.mean

    @property
    def rows(self) -> Tensor:
        """The value of every row, in the order in which rows were added."""
        return torch.cat(self.values)


@dataclass(frozen=True, eq=False)
class ModelSummary:
    """One model over some rows: its divergence from a prior, and the moments of the means and of the variances of its
    posteriors.
    """

    rate: DivergenceSummary
    means: RunningMoments
    variances: RunningMoments

    @classmethod
    def of(cls, g: Gaussian, prior: Gaussian, ids: Sequence[Any], kept: int, given: Gaussian) -> "ModelSummary":
        """The summary of a batch of rows; ``given`` are the same in the precision in which they are given."""
        return cls(
            DivergenceSummary.of(g, prior, ids, kept, (given, prior)),
            RunningMoments.of(g.mean),
            RunningMoments.of(g.scale.stds(g.event_shape).square()),
        )

    def merge(self, other: "ModelSummary") -> "ModelSummary":
        """The summary over the rows of both."""
        return ModelSummary(
            self.rate.merge(other.rate), self.means.merge(other.means), self.variances.merge(other.variances)
        )


@dataclass(frozen=True, eq=False)
class Summary:
    """One model, or two, over some rows: each by itself, and the divergences between two.

    Of each divergence, the ``kept`` largest values are kept.
    """

    models: dict[str, ModelSummary]
    between: dict[Pair, DivergenceSummary]
    kept: int

    @classmethod
    def empty(cls, kept: int = 10) -> "Summary":
        """The summary of no rows."""
        return cls({}, {}, kept)

    @property
    def count(self) -> int:
        """The number of rows."""
        return self.models["a"].means.count if self.models else 0

    @property
    def divergences(self) -> dict[Pair, DivergenceSummary]:
        """The divergences between the models, and those of each from the prior."""
        return self.between | {Pair.rate(name): model.rate for name, model in self.models.items()}

    def update(self, ids: Sequence[Any], *models: Gaussian, prior: Gaussian) -> "Summary":
        """The summary with a batch of rows of each model added, computed in float64; they have one batch dimension."""
        if not len(models[0]):
            return self
        named = dict(zip(MODELS, map(in_full, models), strict=False))
        given = dict(zip(MODELS, (g.detach().to(device="cpu") for g in models), strict=False))
        prior = prior.detach().to(torch.float64, named["a"].device)
        batch = Summary(
            {name: ModelSummary.of(g, prior, ids, self.kept, given[name]) for name, g in named.items()},
            {
                Pair(p + q): DivergenceSummary.of(named[p], named[q], ids, self.kept, (given[p], given[q]))
                for p, q in itertools.permutations(named, 2)
            },
            self.kept,
        )
        return self.merge(batch)

    def merge(self, other: "Summary") -> "Summary":
        """The summary over the rows of both."""
        if not self.models or not other.models:
            return self if self.models else other
        return Summary(
            {name: model.merge(other.models[name]) for name, model in self.models.items()},
            {pair: divergence.merge(other.between[pair]) for pair, divergence in self.between.items()},
            self.kept,
        )
