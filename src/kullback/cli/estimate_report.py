"""An estimate from samples, as lines of text and as JSON."""

from collections.abc import Sequence
from typing import Any

from kullback.comparison.format import four_digits
from kullback.estimate.result import Estimate
from kullback.io.output import json_of
from kullback.io.text import printable


def to_lines(estimate: Estimate, rows: Sequence[int]) -> list[str]:
    """Lines of ``key: value``; ``rows`` are the numbers of samples: of p and q, or of one, whose entropy it is."""
    error = four_digits(float(estimate.standard_error))
    result = [
        f"{_quantity(rows)}: {four_digits(float(estimate.value))} nats, give or take {error} (standard error)",
        f"interval: {_range(estimate.interval)} (95 %)",
        f"band: {_range(estimate.band)} (allows for bias)",
        f"method: {estimate.method}, from {' and '.join(f'{n:,}' for n in rows)} samples",
    ]
    return result + [f"warning.{i}: {printable(warning)}" for i, warning in enumerate(estimate.warnings, 1)]


def to_json(estimate: Estimate, rows: Sequence[int]) -> str:
    """All numbers with all their digits, and the warnings; null stands for a number that is not finite."""
    numbers = {
        _quantity(rows): float(estimate.value),
        "standard_error": float(estimate.standard_error),
        "interval": [float(v) for v in estimate.interval],
        "band": [float(v) for v in estimate.band],
        "n": list(rows),
        "method": estimate.method,
        "warnings": list(estimate.warnings),
    }
    return json_of(numbers)


def _quantity(rows: Sequence[int]) -> str:
    return "kl" if len(rows) == 2 else "entropy"


def _range(ends: tuple[Any, Any]) -> str:
    return " to ".join(four_digits(float(end)) for end in ends)
