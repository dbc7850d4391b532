"""The result of comparing two models, as data."""

from dataclasses import dataclass

from kullback.comparison.pair import Pair
from kullback.comparison.result import Result


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Result):
    """The result of :func:`compare` of two models. Print it, or call :meth:`scalars`, :meth:`to_json` or
    :meth:`report`.

    Its divergences are those of A from B (``"ab"``), of B from A (``"ba"``), and of each model from the prior
    (``"rate_a"`` and ``"rate_b"``).
    """

    shown = (Pair.AB, Pair.BA)
    figure_names = (
        "decomposition", "matching", "left", "dimensions", "widths", "distribution", "directions", "ellipses",
    )  # fmt: skip

    def findings(self) -> list[str]:
        """The main results as sentences with numbers, the most important first."""
        from kullback.comparison.findings import findings

        return findings(self)
