"""Conditions on the numbers of a comparison, such as ``kl_ab.aligned.mean > 2``, that make the command fail."""

import difflib
import math
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kullback.cli.errors import BadInput

if TYPE_CHECKING:
    from kullback.comparison.compare_all import Comparisons
    from kullback.comparison.result import Result

_OPERATORS = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip

_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|==|!=|<|>)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """A comparison of one number with a constant."""

    name: str
    symbol: str
    threshold: float

    @classmethod
    def parse(cls, text: str, names: Mapping[str, str]) -> "Condition":
        """The condition that ``text`` states about one of ``names``.

        Raises:
            BadInput: if it is none, or its name is not known.
        """
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise BadInput(
                f"--fail-if {text!r}: expected a name, one of {' '.join(_OPERATORS)}, and a number. Example: "
                "'kl_ab.mean > 2'."
            )
        name, symbol, threshold = match.groups()
        if name not in names:
            raise BadInput(f"--fail-if: there is no number {name!r}.{_nearest(name, names)}")
        return cls(name, symbol, float(threshold))

    def failure(self, numbers: Mapping[str, float], reasons: str = "") -> str | None:
        """Why the command fails, in one line; None if it does not. A number that is NaN always fails.

        Args:
            numbers: the numbers by name.
            reasons: why some numbers are missing, in sentences.

        Raises:
            BadInput: if the comparison has no such number.
        """
        if self.name not in numbers:
            raise BadInput(f"--fail-if: this comparison has no {self.name}. {reasons}".rstrip())
        value = numbers[self.name]
        if math.isnan(value):
            return f"{self.name} is NaN, so that it cannot be said whether it is {self.symbol} {self.threshold:g}"
        if _OPERATORS[self.symbol](value, self.threshold):
            return f"{self.name} is {value:.6g}, which is {self.symbol} {self.threshold:g}"
        return None


def _nearest(name: str, names: Mapping[str, str]) -> str:
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f" Did you mean {', '.join(near)}?" if near else " --list-scalars lists them."


def failures_of(gates: Sequence[Condition], result: "Result | Comparisons") -> list[str]:
    """Why the command fails: the conditions that are met, of any pair."""
    from kullback.comparison.result import Result

    named: Mapping[str, Result]
    if isinstance(result, Result):
        named = {"": result}
    else:
        named = {f"{' and '.join(pair.names)}: ": pair for pair in result.pairs.values()}
    failures = []
    for name, comparison in named.items():
        parts = (comparison.aligned, comparison.aggregated)
        reasons = " ".join(part for part in parts if isinstance(part, str)) or "Its alignment was not asked for."
        numbers = comparison.scalars()
        failures += [f"{name}{failure}" for gate in gates if (failure := gate.failure(numbers, reasons))]
    return failures
