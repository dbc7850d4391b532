"""How much of the difference of two models is a change of coordinates, and what is left after one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.alignment.align import check_size, warnings_of
from kullback.alignment.alignment import Alignment, MeanDivergence
from kullback.alignment.fits import Fits, Kind
from kullback.alignment.fitting import is_fitted
from kullback.alignment.maps import Map, divergences, remainder
from kullback.alignment.objectives import FromMoments, objective
from kullback.alignment.rows import Rows
from kullback.comparison.divergence_summary import Largest
from kullback.comparison.leftover import Leftovers
from kullback.comparison.pair import Pair
from kullback.comparison.statistics import Thresholds
from kullback.comparison.summary import Summary
from kullback.numerics.moments import ValueMoments
from kullback.pairs.dispatch import marginals

Leave = Callable[[Mapping[Kind, Map]], Leftovers]
"""Gives what maps leave of all rows."""


@dataclass(frozen=True)
class Match:
    """A dimension of A and the dimension of B that the best signed permutation maps it to."""

    a: int
    """The dimension of A."""
    b: int
    """The dimension of B."""
    sign: int
    """1, or -1 where they run in opposite directions."""
    left: float
    """The mean KL divergence of this pair of dimensions, in nats."""
    by_chance: float
    """The same for inputs that are paired at random."""
    collapsed_a: bool
    """Whether the dimension of A is collapsed."""
    collapsed_b: bool
    """Whether the dimension of B is collapsed."""
    are_partners: bool
    """Whether both are in use, and the match leaves less than a certain share of what chance does."""


@dataclass(frozen=True, eq=False)
class Coordinates:
    """The alignments of A with B, and what the best of them leaves. KL is KL(g·A‖B) throughout."""

    alignments: dict[Kind, Alignment]
    """The alignment of each kind that was asked for."""
    matches: tuple[Match, ...]
    """The best signed permutation, by dimensions of A; empty if no permutation was asked for."""
    best: Alignment
    """The alignment that leaves least."""
    pair_divergences: Tensor
    """The mean KL divergence of each dimension of A (columns) from each of B (rows), with the better sign, in nats."""
    per_dimension: Tensor
    """What ``best`` leaves in each dimension of B, without correlations: the mean over the rows that were held out."""
    from_correlations: float
    """What it leaves in correlations between dimensions."""
    rows: Tensor
    """What it leaves of each input, in the order of rows: of all, or of a sample if there are more than a million."""
    largest: Largest
    """The largest divergences of single inputs after ``best``, over all rows."""


def coordinates(summary: Summary, kinds: Sequence[Kind], thresholds: Thresholds, leave: Leave) -> "Coordinates | str":
    """The alignments of two models, whose summary is given; or the reason why there is none, as a sentence.

    ``leave`` reads the rows once more, when the maps are known.
    """
    if not kinds:
        return (
            "No alignment was asked for. Models that were trained separately share latent coordinates at best up to a "
            "permutation, signs and a rotation, so that these divergences may be mostly a change of coordinates."
        )
    try:
        return _coordinates(summary, kinds, thresholds, leave)
    except (ValueError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        return f"The models are not aligned: {error}"


def _coordinates(summary: Summary, kinds: Sequence[Kind], thresholds: Thresholds, leave: Leave) -> "Coordinates":
    halves = _Halves.of(summary)
    maps = {kind: halves.pairs(kind) for kind in kinds}
    by_chance = {kind: halves.random_pairs(kind) for kind in kinds}
    left = leave(maps)
    alignments = {}
    for kind in kinds:
        of, chance = left.of[kind], by_chance[kind]
        alignments[kind] = Alignment(
            kind,
            maps[kind],
            unaligned=MeanDivergence.of(halves.unaligned[0]),
            aligned=MeanDivergence.of(of.aligned),
            chance=MeanDivergence.of_rows(divergences(halves.p, halves.partners, chance)),
            chance_reverse=MeanDivergence.of_rows(divergences(halves.partners, halves.p, chance.inverse())),
            unaligned_reverse=MeanDivergence.of(halves.unaligned[1]),
            aligned_reverse=MeanDivergence.of(of.reverse),
            rows_fitted=halves.pairs.objective.count,
            warnings=halves.warnings,
        )
    best = min(alignments.values(), key=float)
    of_best = left.of[best.kind]  # type: ignore[index]
    matches: tuple[Match, ...] = ()
    if "permutation" in alignments:
        of_dimensions = left.of["permutation"].per_dimension.mean
        matches = _matches(halves, alignments["permutation"].map, of_dimensions, summary, thresholds)
    return Coordinates(
        alignments,
        matches,
        best,
        _pair_divergences(halves.p, halves.q),
        of_best.per_dimension.mean,
        float(of_best.from_correlations.mean),
        of_best.rows(),
        of_best.largest,
    )


@dataclass(frozen=True, eq=False)
class _Halves:
    """What maps are fitted to, and the rows of the reservoir that they are not fitted to."""

    pairs: Fits
    """The maps of the pairs of rows as they are."""
    random_pairs: Fits
    """The maps of rows that are paired at random."""
    p: Rows
    q: Rows
    partners: Rows
    """Other rows of q, one for each of p."""
    unaligned: tuple[ValueMoments, ValueMoments]
    """The divergences of the rows that no map is fitted to, in both directions."""
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, summary: Summary) -> "_Halves":
        """Those of a summary.

        Raises:
            ShapeError: if there are too few rows or too many dimensions.
            ValueError: if a number is not finite.
        """
        fitting, reservoir = summary.fitting, summary.reservoir
        assert fitting is not None
        assert reservoir is not None
        means = summary.models["a"].means.mean
        check_size(summary.count, means.numel())
        for name, model in summary.models.items():
            if not all(bool(x.isfinite().all()) for x in (model.means.mean, model.variances.mean)):
                raise ValueError(
                    f"model {name.upper()} has a mean or a scale that is not finite: no map can be fitted."
                )
        numbers, (p, q) = reservoir.rows()
        half = is_fitted(numbers)
        # Neighbours in the data may be alike: a random order makes random pairs of the rows that follow each other.
        order = torch.randperm(len(numbers), generator=torch.Generator().manual_seed(0), device="cpu")
        fitted, held_out = order[half[order]], order[~half[order]]
        of_pairs = Rows(p, fitted), Rows(q, fitted)
        moments = fitting.moments
        pairs = Fits(FromMoments(moments) if moments is not None else objective(*of_pairs), seed=0)
        total = fitting.fitted.mean * fitting.fitted.count
        share = fitting.dominant[0] / total if total > 0 else 0.0
        return cls(
            pairs,
            Fits(objective(Rows(p, fitted), Rows(q, fitted.roll(1))), seed=0),
            Rows(p, held_out),
            Rows(q, held_out),
            Rows(q, held_out.roll(1)),
            (fitting.unaligned, fitting.unaligned_reverse),
            warnings_of(pairs.objective.count, means.numel(), share, fitting.dominant[1]),
        )


def _matches(
    halves: _Halves, permutation: Map, left: Tensor, summary: Summary, thresholds: Thresholds
) -> tuple[Match, ...]:
    random_pairs = zip(halves.p.parts(), halves.partners.parts(), strict=True)
    total = torch.stack([remainder(*pair, permutation).marginals for pair in random_pairs]).sum(0)
    by_chance = (total / len(halves.p)).tolist()
    of_dimensions = left.tolist()
    collapsed = {
        pair: (summary.divergences[pair].per_dimension.flatten() < thresholds.collapsed_nats).tolist()
        for pair in (Pair.RATE_A, Pair.RATE_B)
    }
    of_b = permutation.matrix.abs().argmax(0).tolist()
    matches = []
    for a, b in enumerate(of_b):
        unused = collapsed[Pair.RATE_A][a], collapsed[Pair.RATE_B][b]
        partners = not any(unused) and of_dimensions[b] < thresholds.partner_share * by_chance[b]
        sign = int(permutation.matrix[b, a])
        matches.append(Match(a, b, sign, of_dimensions[b], by_chance[b], *unused, partners))
    return tuple(matches)


def _pair_divergences(p: Rows, q: Rows) -> Tensor:
    """For each pair of dimensions, of sums over rows that no map was fitted to."""
    d, count = p.dimensions, len(p)
    squares, products, constants = torch.zeros(3, d, d, dtype=torch.float64, device="cpu")
    for source, target in zip(p.parts(), q.parts(), strict=True):
        mean, variance, logvar = marginals(source).flat_parameters("variance", "logvar")
        other, other_variance, other_logvar = marginals(target).flat_parameters("variance", "logvar")
        weights = 1.0 / other_variance
        squares += weights.mT @ (variance + mean.square())
        products += (weights * other).mT @ mean
        constants += (weights * other.square() + other_logvar).sum(0)[:, None] - logvar.sum(0)
    mean_divergences: Tensor = 0.5 * (squares + constants - 2.0 * products.abs()) / count - 0.5
    return mean_divergences.clamp(min=0.0)
