"""The main results of comparing several models, as sentences with numbers."""

from typing import TYPE_CHECKING

from kullback.comparison.format import number

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons


def findings(comparisons: "Comparisons") -> list[str]:
    """All sentences, the most important first."""
    count = len(comparisons.names)
    rows = next(iter(comparisons.pairs.values())).summary.count
    places = list(comparisons.pairs)
    order = sorted(places, key=lambda pair: float(comparisons.distances[pair]))
    unaligned = [0.5 * float(comparisons.unaligned[i, j] + comparisons.unaligned[j, i]) for i, j in places]
    left = [float(comparisons.distances[pair]) for pair in places]
    best = [comparison.coordinates.best for comparison in comparisons.pairs.values() if comparison.coordinates]
    held_out = f"{best[0].aligned.rows:,} inputs that no map was fitted to" if best else "inputs"
    opening = f"{count} models over {rows:,} inputs: as they stand, pairs differ by {_range(unaligned)} nats"
    if best:
        opening += f"; after the best alignment of each pair, by {_range(left)}"
    sentences = [f"{opening} (means over both directions and over {held_out})."]
    if len(places) > 1:
        sentences.append(
            f"{_pair(comparisons, order[0])} are nearest, {number(float(comparisons.distances[order[0]]))} nats; "
            f"{_pair(comparisons, order[-1])} are farthest apart, {number(float(comparisons.distances[order[-1]]))}."
        )
    if comparisons.linkage is not None and count > 2:
        sentences.append(_groups(comparisons))
    unrelated = [
        _pair(comparisons, pair)
        for pair, comparison in comparisons.pairs.items()
        if comparison.coordinates and not comparison.coordinates.best.beats_chance
    ]
    if unrelated:
        sentences.append(
            f"No better than chance is the alignment of {'; '.join(unrelated)}: none of the maps relates their "
            "coordinates."
        )
    skipped = {pair: comparison.summary.skipped.count for pair, comparison in comparisons.pairs.items()}
    if any(skipped.values()):
        counts = "; ".join(f"{count:,} of {_pair(comparisons, pair)}" for pair, count in skipped.items() if count)
        sentences.append(f"Rows were left out, for a value that is not possible or an id of one model alone: {counts}.")
    missing = {comparison.aligned for comparison in comparisons.pairs.values() if not comparison.coordinates}
    return sentences + sorted(str(reason) for reason in missing)


def _range(values: list[float]) -> str:
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def _pair(comparisons: "Comparisons", pair: tuple[int, int]) -> str:
    return " and ".join(comparisons.names[i] for i in pair)


def _groups(comparisons: "Comparisons") -> str:
    below = f"{number(comparisons.grouped_below)} nats, 70 % of its greatest distance"
    together = [group for group in comparisons.groups if len(group) > 1]
    alone = [group[0] for group in comparisons.groups if len(group) == 1]
    if not together:
        return f"No models form a group: average linkage joins none below {below}."
    listed = "; ".join(f"{', '.join(group[:-1])} and {group[-1]}" for group in together)
    rest = f"; alone: {', '.join(alone)}" if alone else ""
    return f"Groups, joined by average linkage below {below}: {listed}{rest}."
