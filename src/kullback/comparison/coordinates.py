"""How much of the difference of two models is a change of coordinates, and what is left after one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.alignment.align import Aligner, Kind
from kullback.alignment.alignment import Alignment
from kullback.alignment.maps import Map, divergences, remainder
from kullback.alignment.rows import Rows
from kullback.comparison.statistics import Thresholds
from kullback.comparison.summary import Pair, Summary
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import marginals


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
    """What it leaves of each input, over all rows."""
    largest_values: tuple[float, ...]
    """The largest divergences of single inputs after ``best``, over all rows."""
    largest_ids: tuple[Any, ...]
    """The ids of these inputs."""


def coordinates(
    ids: Sequence[Any],
    p: Gaussian,
    q: Gaussian,
    summary: Summary,
    kinds: Sequence[Kind],
    thresholds: Thresholds,
    step: Callable[[], None],
) -> "Coordinates | str":
    """The alignments of two models, whose summary is given; or the reason why there is none, as a sentence.

    ``step`` is called after each kind.
    """
    if not kinds:
        return (
            "No alignment was asked for. Models that were trained separately share latent coordinates at best up to a "
            "permutation, signs and a rotation, so that these divergences may be mostly a change of coordinates."
        )
    alignments = {}
    try:
        aligner = Aligner(p, q, seed=0)
        for kind in kinds:
            alignments[kind] = aligner(kind)
            step()
    except (ValueError, torch.linalg.LinAlgError) as error:  # type: ignore[attr-defined]
        return f"The models are not aligned: {error}"
    best = min(alignments.values(), key=float)
    matches: tuple[Match, ...] = ()
    if "permutation" in alignments:
        matches = _matches(aligner, alignments["permutation"].map, summary, thresholds)
    left = [remainder(*pair, best.map) for pair in zip(aligner.p.parts(), aligner.q.parts(), strict=True)]
    everything = torch.arange(len(p), device="cpu")
    rows = divergences(Rows(p, everything), Rows(q, everything), best.map)
    top = rows.argsort(descending=True, stable=True)[: summary.kept].tolist()
    return Coordinates(
        alignments,
        matches,
        best,
        _pair_divergences(aligner),
        torch.cat([part.marginal for part in left]).mean(0),
        float(torch.cat([part.from_correlations for part in left]).mean()),
        rows,
        tuple(rows[top].tolist()),
        tuple(ids[i] for i in top),
    )


def _matches(aligner: Aligner, permutation: Map, summary: Summary, thresholds: Thresholds) -> tuple[Match, ...]:
    left, by_chance = (
        torch.cat([remainder(*pair, permutation).marginal for pair in zip(aligner.p.parts(), q.parts(), strict=True)])
        .mean(0)
        .tolist()
        for q in (aligner.q, aligner.partners)
    )
    collapsed = {
        pair: (summary.divergences[pair].per_dimension.flatten() < thresholds.collapsed_nats).tolist()
        for pair in (Pair.RATE_A, Pair.RATE_B)
    }
    of_b = permutation.matrix.abs().argmax(0).tolist()
    matches = []
    for a, b in enumerate(of_b):
        unused = collapsed[Pair.RATE_A][a], collapsed[Pair.RATE_B][b]
        partners = not any(unused) and left[b] < thresholds.partner_share * by_chance[b]
        matches.append(Match(a, b, int(permutation.matrix[b, a]), left[b], by_chance[b], *unused, partners))
    return tuple(matches)


def _pair_divergences(aligner: Aligner) -> Tensor:
    """For each pair of dimensions, of sums over the rows that were held out."""
    d, count = aligner.p.dimensions, len(aligner.p)
    squares, products, constants = torch.zeros(3, d, d, dtype=torch.float64, device="cpu")
    for source, target in zip(aligner.p.parts(), aligner.q.parts(), strict=True):
        mean, variance, logvar = marginals(source).flat_parameters("variance", "logvar")
        other, other_variance, other_logvar = marginals(target).flat_parameters("variance", "logvar")
        weights = 1.0 / other_variance
        squares += weights.mT @ (variance + mean.square())
        products += (weights * other).mT @ mean
        constants += (weights * other.square() + other_logvar).sum(0)[:, None] - logvar.sum(0)
    mean_divergences: Tensor = 0.5 * (squares + constants - 2.0 * products.abs()) / count - 0.5
    return mean_divergences.clamp(min=0.0)
