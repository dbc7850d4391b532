"""The summary of one divergence over rows: constant in size, and mergeable."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.alignment.rows import in_full
from kullback.divergences.kl import kl_divergence, kl_terms
from kullback.divergences.row_sums import kl_sums
from kullback.gaussians.gaussian import Gaussian
from kullback.kernels.choice import accelerated_kl_sums
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.moments import RunningMean, ValueMoments
from kullback.pairs.base import have_densities
from kullback.pairs.dispatch import marginals


@dataclass(frozen=True)
class Largest:
    """The largest values in descending order, and the ids and the numbers of their rows."""

    values: tuple[float, ...]
    ids: tuple[Any, ...]
    numbers: tuple[int, ...]
    kept: int

    @classmethod
    def of(cls, values: Tensor, ids: Sequence[Any], numbers: Tensor, kept: int) -> "Largest":
        """The ``kept`` largest values of a batch; of equal values the earlier row comes first."""
        top = _descending(values, kept)
        return cls(tuple(values[top].tolist()), tuple(ids[i] for i in top), tuple(numbers[top].tolist()), kept)

    def merge(self, other: "Largest") -> "Largest":
        """The largest values of both."""
        both = sorted(
            zip(self.numbers + other.numbers, self.values + other.values, self.ids + other.ids, strict=True),
            key=lambda entry: entry[0],
        )
        numbers, values, ids = zip(*both, strict=True)
        return Largest.of(
            torch.tensor(values, dtype=torch.float64, device="cpu"),
            ids,
            torch.tensor(numbers, dtype=torch.int64, device="cpu"),
            self.kept,
        )


def _descending(values: Tensor, kept: int) -> list[int]:
    """The places of the largest values; NaN comes first."""
    if len(values) > 4 * kept:
        # Of many rows, only those are sorted that are no less than the last that is kept.
        least = values.topk(kept).values[-1]
        chosen = (~(values < least)).nonzero().flatten()
        return chosen[_descending_all(values[chosen])[:kept]].tolist()
    return _descending_all(values)[:kept].tolist()


def _descending_all(values: Tensor) -> Tensor:
    return values.argsort(descending=True, stable=True)


@dataclass(frozen=True)
class Batch:
    """A batch of rows of a model, or one Gaussian, such as a prior; detached and on the CPU."""

    given: Gaussian
    """In the precision in which it is given; numbers stay numbers."""

    @classmethod
    def of(cls, g: Gaussian) -> "Batch":
        """That of Gaussians on any device."""
        return cls(g.detach().to(device="cpu") if g.tensors() else g)

    @functools.cached_property
    def full(self) -> Gaussian:
        """In float64, with every parameter in full shape."""
        return in_full(self.given)


def _row(batch: Batch, row: int) -> Gaussian:
    """One row of a batch in float64, whose memory is not kept; or the one Gaussian that it is."""
    if not batch.given.batch_shape:
        return batch.full
    only = in_full(batch.given[row])
    return Gaussian(only.mean.clone(), only.scale.map(lambda x, _: x.clone(), only.event_dims), only.event_dims)


@dataclass(frozen=True, eq=False)
class BatchDivergences:
    """One divergence of each row of a batch, and the means over rows of the terms of its marginals."""

    values: Tensor
    """``(n,)``."""
    from_means: RunningMean
    """Of the shape of the event, as ``from_variances``."""
    from_variances: RunningMean
    from_correlations: RunningMean
    """0 of diagonal Gaussians."""

    @classmethod
    def of(cls, p: Batch, q: Batch) -> "BatchDivergences":
        """KL(p‖q) of a batch, of one row or more, in float64."""
        if p.given.scale.is_diagonal and q.given.scale.is_diagonal:
            sums = accelerated_kl_sums(p.given, q.given) or kl_sums(p.full, q.full)
            n, none = len(sums.values), sums.values.new_zeros(())
            parts = (sums.from_means / n, sums.from_variances / n, none)
            return cls(sums.values, *(RunningMean(n, part) for part in parts))
        if have_densities(p.full, q.full):
            values = kl_divergence(p.full, q.full)
        else:
            # Whether two supports are one depends on the precision of the numbers that say so.
            values = from_callers_type(kl_divergence(p.given, q.given)).to(p.full.mean)
        terms = kl_terms(marginals(p.full), marginals(q.full))
        rest = values - (terms.mean + terms.covariance).flatten(1).sum(1)
        return cls(values, *map(RunningMean.of, (*terms, rest)))


@dataclass(frozen=True, eq=False)
class DivergenceSummary:
    """One divergence: the moments of its values, the largest of them, and the contribution of each dimension to its
    mean.

    The contribution of a dimension is the divergence of its marginals, of which ``from_means`` and ``from_variances``
    are the two terms. ``from_correlations``, a single number, is the rest, which is 0 for diagonal Gaussians.
    """

    values: ValueMoments
    unknown: int
    """For how many rows it is NaN."""
    infinite: int
    """For how many rows it is infinite."""
    from_means: RunningMean
    from_variances: RunningMean
    from_correlations: RunningMean
    largest: Largest
    pair: tuple[Gaussian, Gaussian]
    """The two Gaussians of the row with the largest value."""

    @classmethod
    def of(
        cls, found: BatchDivergences, p: Batch, q: Batch, ids: Sequence[Any], numbers: Tensor, kept: int
    ) -> "DivergenceSummary":
        """The summary of the divergences of a batch of rows of p from those of q, or from one q."""
        values = found.values
        largest = Largest.of(values, ids, numbers, kept)
        first = int((numbers == largest.numbers[0]).nonzero()[0])
        return cls(
            ValueMoments.of(values),
            int(values.isnan().sum()),
            int(values.isinf().sum()),
            found.from_means,
            found.from_variances,
            found.from_correlations,
            largest,
            (_row(p, first), _row(q, first)),
        )

    def merge(self, other: "DivergenceSummary") -> "DivergenceSummary":
        """The summary over the rows of both."""
        largest = self.largest.merge(other.largest)
        return DivergenceSummary(
            self.values.merge(other.values),
            self.unknown + other.unknown,
            self.infinite + other.infinite,
            self.from_means.merge(other.from_means),
            self.from_variances.merge(other.from_variances),
            self.from_correlations.merge(other.from_correlations),
            largest,
            self.pair if largest.numbers[0] == self.largest.numbers[0] else other.pair,
        )

    @property
    def per_dimension(self) -> Tensor:
        """The contribution of each dimension to the mean divergence, of the shape of the event."""
        return self.from_means.mean + self.from_variances.mean
