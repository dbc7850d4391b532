"""What is found out about one model, as data."""

from dataclasses import dataclass

from kullback.comparison.pair import Pair
from kullback.comparison.result import Result

ALONE = "There is one model, so that nothing is compared or aligned."
"""Why the result of one model has no alignments."""


@dataclass(frozen=True, eq=False, repr=False)
class OneModel(Result):
    """The result of :func:`compare` of one model. Print it, or call :meth:`scalars`, :meth:`to_json` or :meth:`report`.

    It is model ``"a"``, and its divergence is that from the prior, ``"rate_a"``: its numbers have the names that they
    have in a :class:`Comparison`.
    """

    shown = (Pair.RATE_A,)
    figure_names = ("rates", "widths", "distribution")

    def findings(self) -> list[str]:
        """The main results as sentences with numbers, the most important first."""
        from kullback.comparison.findings_of_model import findings

        return findings(self)
