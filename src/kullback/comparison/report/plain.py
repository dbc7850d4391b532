"""A result as a dictionary, as JSON, and as lines of ``key: value``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kullback._version import __version__
from kullback.comparison.divergence_summary import DivergenceSummary
from kullback.comparison.format import exact
from kullback.comparison.statistics import rank_errors
from kullback.io.output import finite, json_of
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.result import Result

SCHEMA = 1
"""The version of what :func:`to_dict` returns: keys are added without notice, and removed or changed with a new one."""


def to_dict(result: "Result") -> dict[str, Any]:
    """All results as lists, strings and numbers; None stands for a number that is not finite."""
    sampled = result.summary.sampled
    everything = {
        "schema": SCHEMA,
        "kullback": __version__,
        "names": list(result.names),
        "prior": result.prior,
        "findings": result.findings(),
        "event_shape": list(result.event_shape),
        "scalars": result.scalars(),
        "skipped": {"count": result.summary.skipped.count, "first": list(result.summary.skipped.first)},
        # Of how many rows quantiles are, and the standard errors of their ranks; None where they are those of all.
        "sampled_rows": sampled,
        "rank_standard_errors": rank_errors(sampled) if sampled else None,
        **{pair.value: _divergence(divergence) for pair, divergence in result.summary.divergences.items()},
        "coordinates": _coordinates(result),
        "aggregate": _aggregate(result),
        "thresholds": asdict(result.thresholds),
        "shrinkage": {model: result.shrinkage(model).tolist() for model in result.summary.models},
        "active": {model: _indices(result.active(model)) for model in result.summary.models},
        "collapsed": {model: _indices(result.collapsed(model)) for model in result.summary.models},
    }
    return finite(everything)


def to_json(result: "Result") -> str:
    """:func:`to_dict` as JSON."""
    return json_of(to_dict(result))


def to_text(result: "Result") -> str:
    """One line of ``key: value`` for each result; no key occurs twice."""
    lines = [f"finding.{i}: {finding}" for i, finding in enumerate(result.findings(), 1)]
    lines += [f"{key}: {exact(value)}" for key, value in result.scalars().items()]
    lines += [f"skipped.{i}: {printable(place)}" for i, place in enumerate(result.summary.skipped.first, 1)]
    if result.summary.sampled:
        lines.append(f"sampled_rows: {result.summary.sampled}")
        lines += [f"rank_standard_error.{key}: {exact(x)}" for key, x in rank_errors(result.summary.sampled).items()]
    for model in result.summary.models:
        lines.append(f"active_{model}: {_dimension_names(result, result.active(model))}")
        lines.append(f"collapsed_{model}: {_dimension_names(result, result.collapsed(model))}")
    for pair, divergence in result.summary.divergences.items():
        lines += [
            f"{pair.key}.dimension.{result.dimension_name(i)}: {exact(value)}"
            for i, value in enumerate(result.per_dimension(pair).tolist())
        ]
        lines += [
            f"{pair.key}.largest.{i}: {exact(value)} (input {printable(row)})"
            for i, (value, row) in enumerate(zip(divergence.largest.values, divergence.largest.ids, strict=True), 1)
        ]
    found = result.coordinates
    if found:
        lines += [
            f"aligned.dimension.{result.dimension_name(i)}: {exact(value)}"
            for i, value in enumerate(found.per_dimension.tolist())
        ]
        lines += [
            f"aligned.largest.{i}: {exact(value)} (input {printable(row)})"
            for i, (value, row) in enumerate(zip(found.largest.values, found.largest.ids, strict=True), 1)
        ]
    return "\n".join(lines)


def _aggregate(result: "Result") -> dict[str, Any]:
    found = result.aggregate
    if found is None:
        return {"reason": result.aggregated}
    models = {
        model: {
            "rate": of.rate,
            "mutual_information": of.mutual_information.to_dict(),
            "from_prior": of.from_prior.to_dict(),
            "total_correlation": of.total_correlation.to_dict(),
        }
        for model, of in found.models.items()
    }
    pairs = {
        pair: {
            "estimate": of.estimate.to_dict(),
            "bounds": None if of.bounds is None else [float(x) for x in of.bounds],
            "aligned": None if of.aligned is None else of.aligned.to_dict(),
            "aligned_bounds": None if of.aligned_bounds is None else [float(x) for x in of.aligned_bounds],
        }
        for pair, of in found.pairs.items()
    }
    return {"rows": found.rows, "models": models, "pairs": pairs}


def _coordinates(result: "Result") -> dict[str, Any]:
    found = result.coordinates
    if found is None:
        return {"reason": result.aligned}
    largest = zip(found.largest.ids, found.largest.values, strict=True)
    return {
        "alignments": {kind: alignment.to_dict() for kind, alignment in found.alignments.items()},
        "best": found.best.kind,
        "per_dimension": found.per_dimension.tolist(),
        "from_correlations": found.from_correlations,
        "largest": [{"id": row, "kl": value} for row, value in largest],
        "matches": [asdict(match) for match in found.matches],
    }


def _divergence(divergence: DivergenceSummary) -> dict[str, Any]:
    largest = zip(divergence.largest.ids, divergence.largest.values, strict=True)
    return {
        "per_dimension": divergence.per_dimension.tolist(),
        "per_dimension_from_means": divergence.from_means.mean.tolist(),
        "per_dimension_from_variances": divergence.from_variances.mean.tolist(),
        "largest": [{"id": row, "kl": value} for row, value in largest],
    }


def _indices(mask: Tensor) -> list[int]:
    return mask.nonzero().flatten().tolist()


def _dimension_names(result: "Result", mask: Tensor) -> str:
    return " ".join(map(result.dimension_name, _indices(mask))) or "none"
