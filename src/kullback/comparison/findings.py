"""The main results of a comparison, as sentences with numbers."""

import math
from typing import TYPE_CHECKING

import torch

from kullback.comparison.format import number, plus_minus
from kullback.comparison.statistics import ACTIVE_VARIANCE, COLLAPSED_NATS
from kullback.comparison.summary import MODELS, Pair
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare import Comparison

_MAX_NAMED = 12


def findings(comparison: "Comparison") -> list[str]:
    """All sentences, the most important first."""
    return [
        *_divergence(comparison, Pair.AB),
        *_divergence(comparison, Pair.BA),
        *_differences(comparison),
        *(_model(comparison, model, name) for model, name in zip(MODELS, comparison.names, strict=True)),
    ]


def _divergence(comparison: "Comparison", pair: Pair) -> list[str]:
    """The mean and spread of one divergence over inputs, and for how many inputs it is not finite."""
    s = comparison.statistics(pair)
    label, count = pair.label(*comparison.names), comparison.summary.count
    inputs = f"{count:,} input{'s' * (count != 1)}"
    shares = ""
    if 0 < s["mean"] < math.inf:
        means, variances = s["from_means"] / s["mean"], s["from_variances"] / s["mean"]
        shares = f"; {means:.0%} of it comes from the means, {variances:.0%} from the variances"
    sentences = [
        f"{label} is {plus_minus(s)} nats per input (mean ± standard error over {inputs}; median "
        f"{number(s['median'])}, 5–95 % range {number(s['p05'])} to {number(s['p95'])}){shares}."
    ]
    rows = comparison.summary.divergences[pair].rows
    unknown, overflowed = int(rows.isnan().sum()), int(rows.isinf().sum())
    if unknown:
        sentences.append(f"{label} is NaN for {unknown:,} of {inputs}, because their means are.")
    if overflowed:
        sentences.append(
            f"{label} is too large for a float64 for {overflowed:,} of {inputs}. Check that the scale of each "
            "model is what its name says: standard deviations, variances or log-variances."
        )
    return sentences


def _differences(comparison: "Comparison") -> list[str]:
    """The input and the dimensions in which the models differ most."""
    label, largest = Pair.AB.label(*comparison.names), comparison.summary.divergences[Pair.AB].largest
    if largest.values[0] == 0:
        return ["Every posterior of one is that of the other."]
    sentences = [f"Input {printable(largest.ids[0])} differs most: its {label} is {number(largest.values[0])} nats."]
    by_dimension = comparison.per_dimension(Pair.AB)
    if torch.isfinite(by_dimension).all():
        dims = comparison.most_different()
        names = " and ".join(comparison.dimension_name(i) for i in dims)
        share = float(by_dimension[dims].sum() / by_dimension.sum())
        sentences.append(
            f"Dimensions {names} differ most: they account for {share:.0%} of {label}."
            if len(dims) > 1
            else f"Dimension {names} differs most: it accounts for {share:.0%} of {label}."
        )
    return sentences


def _model(comparison: "Comparison", model: str, name: str) -> str:
    """The rate of one model, and which of its dimensions are active and collapsed."""
    active, collapsed = comparison.active(model), comparison.collapsed(model).nonzero().flatten().tolist()
    listed = ""
    if collapsed:
        shown = ", ".join(comparison.dimension_name(i) for i in collapsed[:_MAX_NAMED])
        listed = f": dimension{'s' * (len(collapsed) > 1)} {shown}{', …' * (len(collapsed) > _MAX_NAMED)}"
    rate = number(comparison.statistics(Pair.rate(model))["mean"])
    return (
        f"The rate of {name}, its mean KL divergence from the prior {comparison.prior}, is {rate} nats; "
        f"{int(active.sum())} of {len(active)} dimensions are active (variance over inputs of the posterior mean above "
        f"{ACTIVE_VARIANCE}), {len(collapsed)} {'is' if len(collapsed) == 1 else 'are'} collapsed (mean KL divergence "
        f"from the prior below {COLLAPSED_NATS} nats{listed})."
    )
