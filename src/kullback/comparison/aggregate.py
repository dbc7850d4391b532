r"""Models seen by their aggregated posteriors: the distributions of all codes, whatever input each belongs to.

The aggregated posterior :math:`\bar q` of N inputs is the mixture of their posteriors with equal weights. Divergences
of it have no closed form; they are estimated with their errors, and bounded. The mean divergence from the prior, the
rate, is :math:`I(x; z) + D(\bar q \,\|\, p)` (Hoffman and Johnson 2016).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.alignment.maps import Map
from kullback.alignment.rows import flattened
from kullback.comparison.pair import MODELS
from kullback.divergences.kl import kl_divergence
from kullback.divergences.results import Bounds
from kullback.estimate.bounds import kl_bounds
from kullback.estimate.independent_mixtures import IndependentMixtures
from kullback.estimate.kl import kl_estimate
from kullback.estimate.mutual_information import mutual_information_estimate
from kullback.estimate.result import Estimate
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture

_MAX_DIMENSIONS = 512

# The density of a marginal at a point, of a single row: how many are computed, and for how many points at least.
_MAX_MARGINALS, _FEWEST_POINTS = 2**28, 1024

# Of more rows, this many are drawn; and the points of each estimate.
MAX_AGGREGATED, _POINTS = 2000, 2**14

# Bounds are proved where they take seconds: the greatest rows² × dimensions of diagonal Gaussians, and rows² ×
# dimensions² of others.
_MAX_DIAGONAL_WORK, _MAX_MATRIX_WORK = 40_000_000, 15_000_000


@dataclass(frozen=True)
class AggregatedModel:
    """One model: what its rate consists of, in nats."""

    rate: float
    """The mean divergence from the prior of the rows that are aggregated."""
    mutual_information: Estimate
    """Of inputs and codes; at most log N, which is near if hardly any posteriors overlap."""
    from_prior: Estimate
    """The divergence of the aggregated posterior from the prior."""
    total_correlation: Estimate
    """The divergence of the aggregated posterior from the product of its marginals."""

    @property
    def gap(self) -> float:
        """The rate minus the sum of the two parts, which is 0 up to their errors."""
        return self.rate - float(self.mutual_information.value) - float(self.from_prior.value)

    @property
    def gap_error(self) -> float:
        """The standard error of the gap."""
        return float((self.mutual_information.standard_error**2 + self.from_prior.standard_error**2) ** 0.5)


@dataclass(frozen=True)
class AggregatedPair:
    """The divergence of one aggregated posterior from the other, in nats."""

    estimate: Estimate
    """As the models stand."""
    bounds: Bounds | None
    """Proved bounds of the same; None where they would take long."""
    aligned: Estimate | None
    """After the alignment that leaves least, if there is one."""
    aligned_bounds: Bounds | None
    """Proved bounds of the same; None where they would take long."""


@dataclass(frozen=True)
class Aggregate:
    """The aggregated posteriors of one model, or of two over the same rows."""

    rows: int
    """How many inputs were aggregated."""
    models: dict[str, AggregatedModel]
    """The parts of the rate, of model ``"a"`` and, if there are two, of model ``"b"``."""
    pairs: dict[str, AggregatedPair]
    """The divergences of A from B, ``"ab"``, and of B from A, ``"ba"``; none of a single model."""


NOT_ASKED = "The aggregated posteriors were not asked for."
"""Why a comparison has none that was made without."""


def steps(models: int) -> int:
    """How often :func:`aggregate` reports progress: for each model, and for each ordered pair."""
    return models * models


def aggregate(models: Sequence[Gaussian], prior: Gaussian, g: Map | None, step: Callable[[], None]) -> Aggregate | str:
    """What the aggregated posteriors of one or two batches ``(N, *event)`` in float64 are like; or why that is not
    known, as a sentence.

    Args:
        models: the posteriors of model A and, if there are two, of model B.
        prior: a single Gaussian.
        g: the map of A's coordinates to B's, if the models were aligned.
        step: called when a part is done.
    """
    size = models[0].event_size
    if size > _MAX_DIMENSIONS:
        return f"Aggregated posteriors are compared in up to {_MAX_DIMENSIONS} dimensions: there are {size:,}."
    try:
        return _aggregate(models, prior, g, step)
    except ValueError as error:  # a density that is NaN or infinite
        return f"The aggregated posteriors are not compared: {error}"


def _aggregate(models: Sequence[Gaussian], prior: Gaussian, g: Map | None, step: Callable[[], None]) -> Aggregate:
    batches = [flattened(x) for x in models]
    flat_prior = Gaussian.standard(batches[0].event_size)
    if prior.tensors():
        flat_prior = flattened(prior.cast(torch.float64, torch.device("cpu")).detach())
    parts = {}
    for name, posteriors in zip(MODELS, batches, strict=False):
        parts[name] = _parts_of_rate(posteriors, flat_prior)
        step()
    pairs = {}
    if len(batches) == 2:
        a, b = batches
        mapped = None if g is None else g.applied(a)
        pairs["ab"] = _of_pair((a, b), g, None if mapped is None else (mapped, b))
        step()
        pairs["ba"] = _of_pair((b, a), None if g is None else g.inverse(), None if mapped is None else (b, mapped))
        step()
    return Aggregate(len(batches[0]), parts, pairs)


def _parts_of_rate(posteriors: Gaussian, prior: Gaussian) -> AggregatedModel:
    mixture = Mixture.aggregate(posteriors)
    # Marginals are not matrix products: of many dimensions they are evaluated at fewer points.
    marginal_points = max(_FEWEST_POINTS, min(_POINTS, _MAX_MARGINALS // (len(posteriors) * posteriors.event_size)))
    return AggregatedModel(
        rate=float(kl_divergence(posteriors, prior).mean()),
        mutual_information=mutual_information_estimate(posteriors, n=_POINTS, seed=0),
        from_prior=kl_estimate(mixture, prior, n=_POINTS, seed=1),
        total_correlation=kl_estimate(mixture, IndependentMixtures.of_marginals(mixture), n=marginal_points, seed=2),
    )


def _of_pair(
    sides: tuple[Gaussian, Gaussian], there: Map | None, mapped: tuple[Gaussian, Gaussian] | None
) -> AggregatedPair:
    """The divergence of the first from the second; ``there`` maps the coordinates of the first to those of the second,
    and ``mapped`` are both once A has been mapped.
    """
    source, target = (Mixture.aggregate(side) for side in sides)
    return AggregatedPair(
        kl_estimate(source, target, n=_POINTS, seed=3),
        _bounds(*sides),
        None if there is None else kl_estimate(source, _PulledBack(target, there), n=_POINTS, seed=4),
        None if mapped is None else _bounds(*mapped),
    )


def _bounds(source: Gaussian, target: Gaussian) -> Bounds | None:
    """Proved bounds of the divergence of two aggregated posteriors, unless they would take long."""
    is_diagonal = source.scale.is_diagonal and target.scale.is_diagonal
    work = len(source) ** 2 * source.event_size ** (1 if is_diagonal else 2)
    if work > (_MAX_DIAGONAL_WORK if is_diagonal else _MAX_MATRIX_WORK):
        return None
    return kl_bounds(Mixture.aggregate(source), Mixture.aggregate(target))


class _PulledBack:
    """The density of x such that g(x) has that of a mixture; D(g·p‖q) is D(p‖this) for every p."""

    def __init__(self, mixture: Mixture, g: Map) -> None:
        self._mixture, self._map = mixture, g
        self._log_volume = float(g.log_volume)

    def log_prob(self, x: Tensor) -> Tensor:
        """That of the mixture at g(x), and the volume that g gains."""
        value: Tensor = self._mixture.log_prob(x @ self._map.matrix.mT + self._map.shift)
        return value.add_(self._log_volume)

    def sample(self, n: int) -> Tensor:
        """Points of the mixture, mapped back."""
        back = self._map.inverse()
        drawn: Tensor = self._mixture.sample(n)
        return drawn @ back.matrix.mT + back.shift
