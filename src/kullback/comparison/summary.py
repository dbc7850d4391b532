"""What is known of two models after some of their rows: a value that grows, and merges with others like it.

``Summary.empty`` is its zero, ``update`` adds a batch of rows, ``merge`` adds another summary; the order matters only
to the last digits of sums. So the same value serves a file read in batches, data-parallel workers and a cluster.
Beside sums it keeps one float64 for each row and divergence, so that quantiles are exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.divergences.kl import kl_terms
from kullback.gaussians.gaussian import Gaussian

LARGEST = 10


@dataclass(frozen=True, eq=False)
class RunningMoments:
    """Mean and sum of squared deviations over rows, elementwise (Chan, Golub and LeVeque 1979)."""

    count: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> "RunningMoments":
        """The moments of a tensor's rows."""
        mean = rows.mean(0)
        return cls(len(rows), mean, (rows - mean).square().sum(0))

    def merge(self, other: "RunningMoments") -> "RunningMoments":
        """The moments of both."""
        count = self.count + other.count
        # Weighted, so that an infinite mean stays infinite; a step from one to the other would be NaN.
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        step = other.mean - self.mean
        return RunningMoments(
            count, mean, self.squares + other.squares + step.square() * (self.count * other.count / count)
        )

    @property
    def variance(self) -> Tensor:
        """The unbiased variance over rows; NaN for a single one."""
        return self.squares / (self.count - 1) if self.count > 1 else torch.full_like(self.squares, torch.nan)


@dataclass(frozen=True, eq=False)
class Largest:
    """The rows of the largest values, largest first, and the posteriors of the first."""

    values: tuple[float, ...]
    ids: tuple[Any, ...]
    pair: tuple[Gaussian, Gaussian]

    @classmethod
    def of(cls, values: Tensor, ids: Sequence[Any], p: Gaussian, q: Gaussian) -> "Largest":
        """The largest of a batch."""
        top = values.argsort(descending=True, stable=True)[:LARGEST].tolist()
        return cls(
            tuple(values[top].tolist()), tuple(ids[i] for i in top), (p[top[0]], q[top[0]] if q.batch_shape else q)
        )

    def merge(self, other: "Largest") -> "Largest":
        """The largest of both."""
        both = list(zip(self.values + other.values, self.ids + other.ids, strict=True))
        both = sorted(both, key=lambda entry: -entry[0])[:LARGEST]
        pair = self.pair if self.values[0] >= other.values[0] else other.pair
        return Largest(tuple(v for v, _ in both), tuple(i for _, i in both), pair)


@dataclass(frozen=True, eq=False)
class Divergences:
    """One divergence over rows: every value, and where it comes from, dimension by dimension."""

    values: tuple[Tensor, ...]
    from_means: RunningMoments
    from_variances: RunningMoments
    largest: Largest

    @classmethod
    def of(cls, p: Gaussian, q: Gaussian, ids: Sequence[Any]) -> "Divergences":
        """KL(p‖q) of a batch of rows."""
        from_means, from_variances = kl_terms(p, q)
        values = (from_means + from_variances).flatten(1).sum(1)
        return cls(
            (values,), RunningMoments.of(from_means), RunningMoments.of(from_variances), Largest.of(values, ids, p, q)
        )

    def merge(self, other: "Divergences") -> "Divergences":
        """The divergences of both."""
        return Divergences(
            self.values + other.values,
            self.from_means.merge(other.from_means),
            self.from_variances.merge(other.from_variances),
            self.largest.merge(other.largest),
        )

    @property
    def per_dimension(self) -> Tensor:
        """The mean over rows of each dimension's part."""
        return self.from_means.mean + self.from_variances.mean

    @property
    def rows(self) -> Tensor:
        """Every value, in the order of the rows."""
        return torch.cat(self.values)


@dataclass(frozen=True, eq=False)
class Summary:
    """Two models, row by row and dimension by dimension, against each other and against the prior.

    ``divergences`` holds KL(A‖B), KL(B‖A), KL(A‖prior) and KL(B‖prior) as ``ab``, ``ba``, ``rate_a`` and ``rate_b``;
    ``means`` and ``variances`` the moments over rows of the posteriors' means and variances.
    """

    divergences: dict[str, Divergences]
    means: dict[str, RunningMoments]
    variances: dict[str, RunningMoments]

    @classmethod
    def empty(cls) -> "Summary":
        """The summary of no rows."""
        return cls({}, {}, {})

    @property
    def count(self) -> int:
        """The number of rows."""
        return self.means["a"].count if self.means else 0

    def update(self, ids: Sequence[Any], a: Gaussian, b: Gaussian, prior: Gaussian) -> "Summary":
        """With a batch of rows added; ``a`` and ``b`` have one batch dimension. Computed in float64."""
        if not len(a):
            return self
        a, b = (_full(g) for g in (a, b))
        prior = prior.detach().to(torch.float64, a.device)
        pairs = {"ab": (a, b), "ba": (b, a), "rate_a": (a, prior), "rate_b": (b, prior)}
        batch = Summary(
            {name: Divergences.of(p, q, ids) for name, (p, q) in pairs.items()},
            {"a": RunningMoments.of(a.mean), "b": RunningMoments.of(b.mean)},
            {
                "a": RunningMoments.of(a.scale.stds(a.event_shape).square()),
                "b": RunningMoments.of(b.scale.stds(b.event_shape).square()),
            },
        )
        return self.merge(batch)

    def merge(self, other: "Summary") -> "Summary":
        """The summary of the rows of both."""
        if not self.count or not other.count:
            return self if self.count else other
        return Summary(
            {name: self.divergences[name].merge(other.divergences[name]) for name in self.divergences},
            {name: self.means[name].merge(other.means[name]) for name in self.means},
            {name: self.variances[name].merge(other.variances[name]) for name in self.variances},
        )


def _full(g: Gaussian) -> Gaussian:
    """The same rows in float64 on the CPU, without broadcasting, gradients, or the memory of having been NumPy."""
    shape = g.batch_shape + g.event_shape
    cast = g.cast(torch.float64, torch.device("cpu")).detach()
    scale = cast.scale.map(lambda x, _: x.broadcast_to(shape), g.event_dims)
    return Gaussian(cast.mean.broadcast_to(shape), scale, g.event_dims)
