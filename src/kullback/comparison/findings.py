"""What a comparison found, in sentences with numbers, and how a person likes numbers written."""

import math
from typing import TYPE_CHECKING

import torch

from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare import Comparison

_MOST_NAMED = 12


def findings(comparison: "Comparison") -> list[str]:
    """Every sentence, the most important first."""
    a, b = comparison.names
    return [
        *_divergence(comparison, "ab", a, b),
        *_divergence(comparison, "ba", b, a),
        *_differences(comparison),
        _model(comparison, "a", a),
        _model(comparison, "b", b),
    ]


def number(x: float) -> str:
    """A number for a person: four significant digits."""
    if not math.isfinite(x):
        return "n/a" if math.isnan(x) else "infinity"
    return f"{x:,.0f}" if 1e4 <= abs(x) < 1e9 else f"{x:.4g}"


def plus_minus(statistics: dict[str, float]) -> str:
    """A mean with its standard error, as far as the error has two digits."""
    mean, error = statistics["mean"], statistics["standard_error"]
    if not (math.isfinite(mean) and math.isfinite(error) and error > 0):
        return number(mean)
    if not 1e-3 < mean < 1e9 or error < 1e-6 * mean:
        return f"{mean:.4g} ± {error:.2g}"
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{mean:,.{decimals}f} ± {error:,.{decimals}f}"


def _divergence(comparison: "Comparison", which: str, p: str, q: str) -> list[str]:
    s = comparison.statistics(which)
    count = comparison.summary.count
    parts = ""
    if 0 < s["mean"] < math.inf:
        means, variances = s["from_means"] / s["mean"], s["from_variances"] / s["mean"]
        parts = f"; {means:.0%} of it comes from the means, {variances:.0%} from the variances"
    sentences = [
        f"KL({p}‖{q}) is {plus_minus(s)} nats an input (mean ± standard error over {count:,} inputs; median "
        f"{number(s['median'])}, 5–95 % range {number(s['p05'])} to {number(s['p95'])}){parts}."
    ]
    rows = comparison.summary.divergences[which].rows
    unknown, overflowed = int(rows.isnan().sum()), int(rows.isinf().sum())
    if unknown:
        sentences.append(f"KL({p}‖{q}) is NaN for {unknown:,} of {count:,} inputs: their means are.")
    if overflowed:
        sentences.append(
            f"KL({p}‖{q}) is too large for a float64 for {overflowed:,} of {count:,} inputs: do both scales hold what "
            "their names say?"
        )
    return sentences


def _differences(comparison: "Comparison") -> list[str]:
    labels = comparison.labels()
    largest = comparison.summary.divergences["ab"].largest
    if largest.values[0] == 0:
        return ["Every posterior of one is that of the other."]
    sentences = [
        f"Input {printable(largest.ids[0])} differs most: {labels['ab']} is {number(largest.values[0])} nats there."
    ]
    by_dimension = comparison.per_dimension("ab")
    if torch.isfinite(by_dimension).all():
        chosen = comparison.most_different()
        names = " and ".join(comparison.dimension_name(i) for i in chosen)
        share = float(by_dimension[chosen].sum() / by_dimension.sum())
        several = len(chosen) > 1
        sentences.append(
            f"Dimension{'s' * several} {names} differ{'s' * (not several)} most: {share:.0%} of {labels['ab']}."
        )
    return sentences


def _model(comparison: "Comparison", model: str, name: str) -> str:
    from kullback.comparison.compare import ACTIVE_VARIANCE, COLLAPSED_NATS

    active, collapsed = comparison.active(model), comparison.collapsed(model).nonzero().flatten().tolist()
    named = ""
    if collapsed:
        shown = ", ".join(comparison.dimension_name(i) for i in collapsed[:_MOST_NAMED])
        named = f": dimension{'s' * (len(collapsed) > 1)} {shown}{', …' * (len(collapsed) > _MOST_NAMED)}"
    rate = number(comparison.statistics(f"rate_{model}")["mean"])
    return (
        f"{name} is {rate} nats from the prior {comparison.prior} (its rate); {int(active.sum())} of {len(active)} "
        f"dimensions are active (their posterior mean has a variance over inputs above {ACTIVE_VARIANCE}), "
        f"{len(collapsed)} {'is' if len(collapsed) == 1 else 'are'} collapsed (less than {COLLAPSED_NATS} nats from "
        f"the prior{named})."
    )
