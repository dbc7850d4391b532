"""The main results of a comparison, as sentences with numbers."""

import math
from typing import TYPE_CHECKING

from kullback.alignment.alignment import Alignment, MeanDivergence
from kullback.comparison.aggregate import NOT_ASKED, AggregatedPair
from kullback.comparison.coordinates import Coordinates, Match
from kullback.comparison.findings_of_model import (
    MAX_NAMED,
    dimensions,
    divergence,
    estimate_text,
    largest,
    left_out,
    model_as_a_whole,
    parts_of_rate,
)
from kullback.comparison.format import number, plus_minus
from kullback.comparison.pair import MODELS, Pair
from kullback.divergences.results import Bounds
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.comparison import Comparison

MAPS: dict[str, str] = {
    "permutation": "matching dimensions",
    "rotation": "a rotation",
    "rotation+shift": "a rotation and a shift",
    "affine": "an affine map",
}
"""What each kind of alignment does, for a sentence."""

# Below this share an alignment removes nothing that matters; above this share of what chance leaves, it hardly matters
# which inputs are paired; above this ratio the posteriors of one model are wider.
_SMALL_SHARE, _MOST_OF_CHANCE, _WIDER = 0.05, 0.9, 1.2


def findings(comparison: "Comparison") -> list[str]:
    """All sentences, the most important first."""
    found = comparison.coordinates
    if found:
        opening = [*_decomposition(comparison, found), *_matching(comparison, found), *_left(comparison, found)]
    else:
        opening = [str(comparison.aligned)]
    return [
        *opening,
        *_aggregated(comparison),
        *divergence(comparison, Pair.AB, "As they stand, "),
        *divergence(comparison, Pair.BA, "As they stand, "),
        *_differences(comparison),
        *(model_as_a_whole(comparison, model, name) for model, name in zip(MODELS, comparison.names, strict=True)),
        *left_out(comparison),
    ]


def _decomposition(comparison: "Comparison", found: Coordinates) -> list[str]:
    """What of the difference is a change of coordinates."""
    ab, ba = (pair.label(*comparison.names) for pair in (Pair.AB, Pair.BA))
    best = found.best
    steps = ", ".join(f"{_mean(alignment.aligned)} after {MAPS[kind]}" for kind, alignment in found.alignments.items())
    at_random = f"{MAPS[best.kind]} of inputs paired at random leaves"
    held_out = f"means over {best.aligned.rows:,} inputs that no map was fitted to"
    share = _share_removed(best.unaligned_reverse, best.aligned_reverse)
    sentences = [
        f"{ab} is {_mean(best.unaligned)} nats as they stand, {steps}; {at_random} {number(best.chance.mean)} "
        f"({held_out}). {_conclusion(comparison, best)}.",
        f"{ba} is {_mean(best.unaligned_reverse)} nats as they stand, {_mean(best.aligned_reverse)} after "
        f"{MAPS[best.kind]}{share}; {at_random} {number(best.chance_reverse.mean)}.{_widths(comparison)}",
    ]
    return sentences + [f"{warning[0].upper()}{warning[1:]}." for warning in best.warnings]


def _conclusion(comparison: "Comparison", best: Alignment) -> str:
    """What the numbers of the alignments allow to say."""
    share, left, chance = best.coordinates_share, best.aligned.mean, best.chance.mean
    if best.unaligned.mean < comparison.thresholds.collapsed_nats:
        return "The models agree as they stand"
    if not best.beats_chance:
        return "This is no better than chance: none of these maps relates the coordinates of the two models"
    if left > _MOST_OF_CHANCE * chance:
        return (
            "Most of what is left is there for inputs paired at random too: it comes from offsets or from widths of "
            "posteriors, some of which other kinds of map may remove"
        )
    if share < _SMALL_SHARE and best.unaligned.mean < comparison.thresholds.partner_share * chance:
        return "The models share their coordinates: none of these maps brings them much closer"
    if share < _SMALL_SHARE:
        return "None of these maps brings the models much closer than they stand"
    rates = " and ".join(number(comparison.statistics(Pair.rate(model))["mean"]) for model in MODELS)
    a, b = comparison.names
    return (
        f"{share:.0%} of the difference is a change of coordinates; beside what is left, the rates of {a} and {b} are "
        f"{rates} nats"
    )


def _differences(comparison: "Comparison") -> list[str]:
    """The input and the dimensions in which the models differ most as they stand, by KL(A‖B)."""
    if comparison.summary.divergences[Pair.AB].largest.values[0] == 0:
        return ["Every posterior of one is that of the other."]
    return largest(comparison, Pair.AB, "as they stand")


def _share_removed(unaligned: MeanDivergence, aligned: MeanDivergence) -> str:
    share = 1.0 - aligned.mean / unaligned.mean if unaligned.mean > 0 else 0.0
    return f", {share:.0%} less" if share >= _SMALL_SHARE else ""


def _mean(divergence: MeanDivergence) -> str:
    return plus_minus(divergence.to_dict())


def _widths(comparison: "Comparison") -> str:
    """Why the two directions differ, if the posteriors of one model are wider."""
    a, b = (comparison.summary.models[model].variances.mean.flatten() for model in MODELS)
    ratio = float((0.5 * (a / b).log()).mean().exp())
    if not (0 < ratio < math.inf and max(ratio, 1 / ratio) > _WIDER):
        return ""
    (wide, narrow), times = (comparison.names, ratio) if ratio > 1 else (comparison.names[::-1], 1 / ratio)
    return (
        f" The root mean square over inputs of the standard deviations of {wide} is {times:.2g} times that of {narrow} "
        "(geometric mean over dimensions); a difference weighs more when it is measured by narrower posteriors."
    )


def _matching(comparison: "Comparison", found: Coordinates) -> list[str]:
    """Which dimension of one model is which of the other."""
    if not found.matches:
        return []
    a, b = comparison.names
    partners = [match for match in found.matches if match.are_partners]
    shown = ", ".join(_match(comparison, match) for match in partners[:MAX_NAMED])
    more = f", and {len(partners) - MAX_NAMED} more" * (len(partners) > MAX_NAMED)
    alone = [
        f"{dimensions(comparison, indices)} of {name}"
        for name, indices in (
            (a, [m.a for m in found.matches if not m.are_partners and not m.collapsed_a]),
            (b, sorted(m.b for m in found.matches if not m.are_partners and not m.collapsed_b)),
        )
        if indices
    ]
    share = f"{comparison.thresholds.partner_share:.0%}"
    if not partners:
        return [
            f"No dimension has a partner: the best signed permutation leaves each pair that is in use {share} or more "
            "of what it leaves of inputs paired at random."
        ]
    lonely = f"; without a partner: {' and '.join(alone)}" if alone else ""
    return [
        f"Dimensions of {a} and their partners in {b}: {shown}{more}{lonely}. Partners are matched by the best signed "
        f"permutation, are not collapsed, and keep less than {share} of what inputs paired at random keep."
    ]


def _match(comparison: "Comparison", match: Match) -> str:
    reversed_ = "reversed, " * (match.sign < 0)
    names = comparison.dimension_name(match.a), comparison.dimension_name(match.b)
    return f"{names[0]} is {names[1]} ({reversed_}{number(match.left)} nats left)"


def _left(comparison: "Comparison", found: Coordinates) -> list[str]:
    """Where the difference that is left after the best alignment lies."""
    total = float(found.best.aligned.mean)
    if not total > 0:
        return []
    most = int(found.per_dimension.argmax())
    opening = (
        f"After {MAPS[found.best.kind]}, input {printable(found.largest.ids[0])} differs most, by "
        f"{number(found.largest.values[0])} nats."
    )
    if not all(map(math.isfinite, (total, float(found.per_dimension[most]), found.from_correlations))):
        return [opening]
    collapsed = ", which is collapsed," if bool(comparison.collapsed("b")[most]) else ""
    return [
        f"{opening} Of what is left on average, dimension "
        f"{comparison.dimension_name(most)} of {comparison.names[1]}{collapsed} has "
        f"{float(found.per_dimension[most]) / total:.0%}, the largest share, and correlations between dimensions have "
        f"{found.from_correlations / total:.0%}."
    ]


def _aggregated(comparison: "Comparison") -> list[str]:
    """The divergence of the distributions of all codes, and what the rates consist of."""
    found = comparison.aggregate
    if found is None:
        return [] if comparison.aggregated == NOT_ASKED else [str(comparison.aggregated)]
    there, back = (_of_pair(comparison, pair, found.pairs[pair.value]) for pair in (Pair.AB, Pair.BA))
    first = (
        f"Of the aggregated posteriors, the distributions of all codes of {found.rows:,} inputs, {there}; {back}. They "
        "say whether the two models fill space alike; the divergences of inputs say whether an input has the same code."
    )
    parts = (parts_of_rate(found, model, name) for model, name in zip(MODELS, comparison.names, strict=True))
    return [first, *parts]


def _of_pair(comparison: "Comparison", pair: Pair, of: AggregatedPair) -> str:
    text = f"{pair.label(*comparison.names)} is {estimate_text(of.estimate)} nats as they stand"
    text += _proved(of.bounds)
    if comparison.coordinates and of.aligned:
        text += (
            f", {estimate_text(of.aligned)} after {MAPS[comparison.coordinates.best.kind]}{_proved(of.aligned_bounds)}"
        )
    return text


def _proved(bounds: Bounds | None) -> str:
    return f" (proved: {number(float(bounds.lower))} to {number(float(bounds.upper))})" if bounds else ""
