"""What is said about one model, alone or beside another: sentences with numbers."""

import math
from typing import TYPE_CHECKING

import torch

from kullback.comparison.aggregate import NOT_ASKED, Aggregate
from kullback.comparison.format import number, plus_minus
from kullback.comparison.pair import Pair
from kullback.estimate.result import Estimate
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.one_model import OneModel
    from kullback.comparison.result import Result

MAX_NAMED = 12
"""How many dimensions a sentence names."""


def findings(result: "OneModel") -> list[str]:
    """All sentences about one model, the most important first."""
    (name,), found = result.names, result.aggregate
    aggregated = [parts_of_rate(found, "a", name)] if found else [str(result.aggregated)]
    is_prior = result.summary.divergences[Pair.RATE_A].largest.values[0] == 0
    return [
        model_as_a_whole(result, "a", name),
        *divergence(result, Pair.RATE_A),
        *(["Every posterior is the prior."] if is_prior else largest(result, Pair.RATE_A)),
        *(sentence for sentence in aggregated if sentence != NOT_ASKED),
        *left_out(result),
    ]


def model_as_a_whole(result: "Result", model: str, name: str) -> str:
    """The rate of one model, and which of its dimensions are active and collapsed."""
    active, collapsed = result.active(model), result.collapsed(model).nonzero().flatten().tolist()
    listed = f": {dimensions(result, collapsed)}" if collapsed else ""
    rate, thresholds = number(result.statistics(Pair.rate(model))["mean"]), result.thresholds
    return (
        f"The rate of {name}, its mean KL divergence from the prior {result.prior}, is {rate} nats; "
        f"{int(active.sum())} of {len(active)} dimensions are active (variance over inputs of the posterior mean above "
        f"{thresholds.active_variance:g}), {len(collapsed)} {'is' if len(collapsed) == 1 else 'are'} collapsed (mean "
        f"KL divergence from the prior below {thresholds.collapsed_nats:g} nats{listed})."
    )


def parts_of_rate(found: Aggregate, model: str, name: str) -> str:
    """What the rate of one model consists of, and its total correlation."""
    of = found.models[model]
    warnings = "".join(f" {text[0].upper()}{text[1:]}." for text in of.mutual_information.warnings)
    return (
        f"The rate of {name} over these inputs, {number(of.rate)} nats, is the mutual information of inputs and codes, "
        f"{estimate_text(of.mutual_information)} (at most log N = {math.log(found.rows):.4g}), and the divergence of "
        f"the aggregated posterior from the prior, {estimate_text(of.from_prior)}; the rate minus their sum is "
        f"{of.gap:.2g} ± {of.gap_error:.2g}, the error of estimating both. Its total correlation, which is 0 if the "
        f"dimensions of the aggregated posterior are independent, is {estimate_text(of.total_correlation)}.{warnings}"
    )


def left_out(result: "Result") -> list[str]:
    """How many rows were left out, and where the first is."""
    skipped = result.summary.skipped
    if not skipped.count:
        return []
    rows, first = ("row was", "") if skipped.count == 1 else ("rows were", "the first: ")
    return [
        f"{skipped.count:,} {rows} left out, for a value that is not possible or an id that only one model has; {first}"
        f"{printable(skipped.first[0])}{'' if skipped.first[0].endswith('.') else '.'}"
    ]


def divergence(result: "Result", pair: Pair, opening: str = "") -> list[str]:
    """The mean and spread of one divergence over inputs, and for how many inputs it is not finite."""
    s = result.statistics(pair)
    label, count = pair.label(*result.names), result.summary.count
    inputs = f"{count:,} input{'s' * (count != 1)}"
    sampled = f" of a sample of {result.summary.sampled:,}" if result.summary.sampled else ""
    shares = ""
    # A singular Gaussian has a divergence along its support, whose parts are not finite.
    if s["mean"] > 0 and all(map(math.isfinite, (s[x] for x in ("mean", "from_means", "from_variances")))):
        shares = f"; {s['from_means'] / s['mean']:.0%} of it comes from the means"
        shares += f", {s['from_variances'] / s['mean']:.0%} from the variances"
        if s["from_correlations"]:
            shares += f", {s['from_correlations'] / s['mean']:.0%} from correlations between dimensions"
    sentences = [
        f"{opening}{label} is {plus_minus(s)} nats per input (mean ± standard error over {inputs}; median "
        f"{number(s['median'])}, 5–95 % range {number(s['p05'])} to {number(s['p95'])}{sampled}){shares}."
    ]
    found = result.summary.divergences[pair]
    unknown, overflowed = found.unknown, found.infinite
    if unknown:
        sentences.append(f"{label} is NaN for {unknown:,} of {inputs}, because their means are.")
    if overflowed and not all(g.scale.has_density for g in found.pair):
        sentences.append(
            f"{label} is infinite for {overflowed:,} of {inputs}. Some covariances are singular, and the KL divergence "
            "of Gaussians whose supports differ is infinite."
        )
    elif overflowed:
        sentences.append(
            f"{label} is too large for a float64 for {overflowed:,} of {inputs}. Check that the scale of each "
            "model is what its name says: standard deviations, variances or log-variances."
        )
    return sentences


def largest(result: "Result", pair: Pair, state: str = "") -> list[str]:
    """The input and the dimensions in which one divergence is largest; ``state`` is that of the models."""
    label, found = pair.label(*result.names), result.summary.divergences[pair].largest
    opening, end = (f"{state[0].upper()}{state[1:]}, ", f" {state}") if state else ("", "")
    sentences = [f"{opening}{label} is largest for input {printable(found.ids[0])}: {number(found.values[0])} nats."]
    by_dimension, mean = result.per_dimension(pair), result.statistics(pair)["mean"]
    if torch.isfinite(by_dimension).all() and math.isfinite(mean):
        dims = result.most_different(which=pair)
        share = float(by_dimension[dims].sum()) / mean
        verb = "have" if len(dims) > 1 else "has"
        listed = " and ".join(result.dimension_name(i) for i in dims)
        sentences.append(
            f"Dimension{'s' * (len(dims) > 1)} {listed} {verb} the largest share of {label}{end}: {share:.0%}."
        )
    return sentences


def dimensions(result: "Result", indices: list[int]) -> str:
    """Dimensions by their names, and how many more."""
    named = ", ".join(result.dimension_name(i) for i in indices[:MAX_NAMED])
    return f"dimension{'s' * (len(indices) > 1)} {named}{', …' * (len(indices) > MAX_NAMED)}"


def estimate_text(estimate: Estimate) -> str:
    """An estimate and its standard error."""
    return plus_minus({"mean": float(estimate.value), "standard_error": float(estimate.standard_error)})
