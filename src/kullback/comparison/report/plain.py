"""A comparison as a dictionary, as JSON, and as lines of ``key: value``."""

import json
import math
from typing import TYPE_CHECKING, Any

from torch import Tensor

from kullback.comparison.format import exact
from kullback.comparison.summary import MODELS, DivergenceSummary
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.comparison.compare import Comparison


def to_dict(comparison: "Comparison") -> dict[str, Any]:
    """All results as lists, strings and numbers; None stands for a number that is not finite."""
    everything = {
        "names": list(comparison.names),
        "prior": comparison.prior,
        "warning": comparison.warning,
        "findings": comparison.findings(),
        "event_shape": list(comparison.event_shape),
        "scalars": comparison.scalars(),
        **{pair.value: _divergence(divergence) for pair, divergence in comparison.summary.divergences.items()},
        "active": {model: _indices(comparison.active(model)) for model in MODELS},
        "collapsed": {model: _indices(comparison.collapsed(model)) for model in MODELS},
    }
    return {key: _finite(value) for key, value in everything.items()}


def to_json(comparison: "Comparison") -> str:
    """:func:`to_dict` as JSON."""
    return json.dumps(to_dict(comparison), indent=2, ensure_ascii=False, allow_nan=False)


def to_text(comparison: "Comparison") -> str:
    """One line of ``key: value`` for each result; no key occurs twice."""
    lines = [f"warning: {comparison.warning}"]
    lines += [f"finding.{i}: {finding}" for i, finding in enumerate(comparison.findings(), 1)]
    lines += [f"{key}: {exact(value)}" for key, value in comparison.scalars().items()]
    for model in MODELS:
        lines.append(f"active_{model}: {_dimension_names(comparison, comparison.active(model))}")
        lines.append(f"collapsed_{model}: {_dimension_names(comparison, comparison.collapsed(model))}")
    for pair, divergence in comparison.summary.divergences.items():
        lines += [
            f"{pair.key}.dimension.{comparison.dimension_name(i)}: {exact(value)}"
            for i, value in enumerate(comparison.per_dimension(pair).tolist())
        ]
        lines += [
            f"{pair.key}.largest.{i}: {exact(value)} (input {printable(row)})"
            for i, (value, row) in enumerate(zip(divergence.largest.values, divergence.largest.ids, strict=True), 1)
        ]
    return "\n".join(lines)


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


def _dimension_names(comparison: "Comparison", mask: Tensor) -> str:
    return " ".join(map(comparison.dimension_name, _indices(mask))) or "none"


def _finite(x: Any) -> Any:
    """``x`` with None for every number in it that is not finite, which JSON cannot express."""
    if isinstance(x, dict):
        return {key: _finite(value) for key, value in x.items()}
    if isinstance(x, list):
        return [_finite(value) for value in x]
    return None if isinstance(x, float) and not math.isfinite(x) else x
