"""An estimate from samples, as lines for a person and as numbers for a program."""

import json
from collections.abc import Sequence
from typing import Any

from kullback.estimate.result import Estimate
from kullback.io.text import printable


def lines(found: Estimate, rows: Sequence[int]) -> list[str]:
    """``key: value``, as every command without a terminal prints."""
    result = [
        f"kl: {_shown(found.value)} nats, give or take {_shown(found.standard_error)} (standard error)",
        f"interval: {_between(found.interval)} (95 %)",
        f"band: {_between(found.band)} (allows for bias)",
        f"method: {found.method}, from {rows[0]:,} and {rows[1]:,} samples",
    ]
    return result + [f"warning.{i}: {printable(warning)}" for i, warning in enumerate(found.warnings, 1)]


def to_json(found: Estimate, rows: Sequence[int]) -> str:
    """Every number, with all its digits."""
    numbers = {
        "kl": float(found.value),
        "standard_error": float(found.standard_error),
        "interval": [float(v) for v in found.interval],
        "band": [float(v) for v in found.band],
        "n": list(rows),
        "method": found.method,
        "warnings": list(found.warnings),
    }
    return json.dumps(numbers, indent=2)


def _shown(number: Any) -> str:
    return f"{float(number):.4g}"


def _between(pair: tuple[Any, Any]) -> str:
    return f"{_shown(pair[0])} to {_shown(pair[1])}"
