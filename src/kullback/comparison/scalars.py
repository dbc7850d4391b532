"""The numbers of a comparison over all inputs and dimensions, by names that stay the same."""

import math
from typing import TYPE_CHECKING

from kullback.alignment.alignment import Alignment
from kullback.alignment.fits import KINDS
from kullback.comparison.aggregate import Aggregate
from kullback.comparison.coordinates import Coordinates
from kullback.comparison.pair import MODELS, Pair
from kullback.comparison.statistics import Thresholds
from kullback.estimate.result import Estimate

if TYPE_CHECKING:
    from kullback.comparison.result import Result

_STATISTICS = {
    "mean": "mean over all inputs",
    "standard_error": "standard error of the mean",
    "median": "median over inputs",
    "p05": "5 % quantile over inputs",
    "p95": "95 % quantile over inputs",
    "max": "largest value of an input",
    "from_means": "part of the mean that comes from the means",
    "from_variances": "part of the mean that comes from the variances",
    "from_correlations": "part of the mean that comes from correlations between dimensions; 0 for diagonal Gaussians",
}


_PARTS_OF_RATE = {
    "mutual_information": "mutual information of inputs and codes of",
    "from_prior": "divergence from the prior of the aggregated posterior of",
    "total_correlation": "total correlation of the aggregated posterior of",
}


def scalars(found: "Result") -> dict[str, float]:
    """All numbers by name; those of alignments if there are any."""
    result: dict[str, float] = {"rows": found.summary.count, "skipped_rows": found.summary.skipped.count}
    result["dimensions"] = math.prod(found.event_shape)
    for pair in found.summary.divergences:
        result |= {f"{pair.key}.{name}": value for name, value in found.statistics(pair).items()}
    for model in found.summary.models:
        result[f"active_units_{model}"] = int(found.active(model).sum())
        result[f"collapsed_units_{model}"] = int(found.collapsed(model).sum())
    if found.coordinates:
        result |= _of_alignments(found.coordinates)
    return result | (_of_aggregate(found.aggregate) if found.aggregate else {})


def _of_aggregate(found: Aggregate) -> dict[str, float]:
    named: dict[str, Estimate | None] = {}
    for pair, of in found.pairs.items():
        named |= {f"aggregate.kl_{pair}": of.estimate, f"aggregate.kl_{pair}.aligned": of.aligned}
    for model, parts in found.models.items():
        named |= {f"aggregate.{part}_{model}": getattr(parts, part) for part in _PARTS_OF_RATE}
    result: dict[str, float] = {"aggregate.rows": found.rows}
    for name, estimate in named.items():
        if estimate is not None:
            result[f"{name}.mean"] = float(estimate.value)
            result[f"{name}.standard_error"] = float(estimate.standard_error)
    return result


def _of_alignments(found: Coordinates) -> dict[str, float]:
    result: dict[str, float] = {}
    for pair, mean in ((Pair.AB, found.best.unaligned), (Pair.BA, found.best.unaligned_reverse)):
        result[f"{pair.key}.unaligned.mean"] = mean.mean
        result[f"{pair.key}.unaligned.standard_error"] = mean.standard_error
    named: list[tuple[str, Alignment]] = [*found.alignments.items(), ("aligned", found.best)]
    for name, alignment in named:
        key = _key(name)
        for pair, mean in ((Pair.AB, alignment.aligned), (Pair.BA, alignment.aligned_reverse)):
            result[f"{pair.key}.{key}.mean"] = mean.mean
            result[f"{pair.key}.{key}.standard_error"] = mean.standard_error
        result[f"{Pair.AB.key}.{key}.chance"] = alignment.chance.mean
        result[f"{Pair.BA.key}.{key}.chance"] = alignment.chance_reverse.mean
    result["coordinates_share"] = found.best.coordinates_share
    if found.matches:
        result["matched_units"] = sum(match.are_partners for match in found.matches)
    return result


def _key(kind: str) -> str:
    return kind.replace("+", "_")


def documented() -> dict[str, str]:
    """What each number is, by its name."""
    default = Thresholds()
    result = {
        "rows": "number of inputs",
        "skipped_rows": "number of rows that were left out, with on_bad='skip' or --on-bad skip",
        "dimensions": "number of latent dimensions",
    }
    labels = {pair: pair.label("A", "B") for pair in Pair}
    for pair, label in labels.items():
        result |= {f"{pair.key}.{name}": f"{label}, nats: {text}" for name, text in _STATISTICS.items()}
    for model in MODELS:
        result[f"active_units_{model}"] = (
            f"dimensions of {model.upper()} whose posterior mean has a variance over inputs above "
            f"{default.active_variance:g}, or the threshold that was given"
        )
        result[f"collapsed_units_{model}"] = (
            f"dimensions of {model.upper()} whose mean divergence from the prior is below {default.collapsed_nats:g} "
            "nats, or the threshold that was given"
        )
    for pair in (Pair.AB, Pair.BA):
        result[f"{pair.key}.unaligned.mean"] = (
            f"{labels[pair]}, nats: mean over the inputs that no map was fitted to, as they stand"
        )
        result[f"{pair.key}.unaligned.standard_error"] = "standard error of that mean"
    for kind in (*KINDS, "aligned"):
        after = "the alignment that leaves least" if kind == "aligned" else f"the alignment of kind {kind}"
        for pair in (Pair.AB, Pair.BA):
            result[f"{pair.key}.{_key(kind)}.mean"] = f"{labels[pair]}, nats: mean over the same inputs after {after}"
            result[f"{pair.key}.{_key(kind)}.standard_error"] = "standard error of that mean"
        for pair in (Pair.AB, Pair.BA):
            result[f"{pair.key}.{_key(kind)}.chance"] = (
                f"{labels[pair]}, nats: mean of inputs paired at random after {after}, fitted to such pairs"
            )
    result["coordinates_share"] = (
        f"share of {labels[Pair.AB]} as they stand that the alignment that leaves least removes; negative if it adds"
    )
    result["matched_units"] = (
        "dimensions of A with a partner in B, neither collapsed: the best signed permutation leaves the pair less than "
        f"{default.partner_share:.0%} (or the share that was given) of what it leaves of inputs paired at random"
    )
    estimates: dict[str, str] = {}
    for pair in (Pair.AB, Pair.BA):
        name, text = f"aggregate.{pair.key}", f"{labels[pair]} of the aggregated posteriors, nats: estimate"
        estimates |= {name: f"{text} as they stand", f"{name}.aligned": f"{text} after the alignment that leaves least"}
    for model in MODELS:
        for part, text in _PARTS_OF_RATE.items():
            estimates[f"aggregate.{part}_{model}"] = f"{text} {model.upper()}, nats: estimate"
    result["aggregate.rows"] = "number of inputs whose posteriors were aggregated"
    for name, text in estimates.items():
        result |= {f"{name}.mean": text, f"{name}.standard_error": "standard error of that estimate"}
    return result
