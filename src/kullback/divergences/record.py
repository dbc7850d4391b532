"""What is true of a divergence: declared once beside its formula, read by tests, README, documentation and CLI."""

from dataclasses import dataclass
from typing import Literal

Invariance = Literal["affine", "isometry", "none"]


@dataclass(frozen=True)
class Record:
    """One divergence and its properties."""

    name: str
    title: str
    formula: str  # TeX
    symmetric: bool
    metric: bool
    bounded: bool  # from above
    invariance: Invariance  # under which common maps of both arguments it does not change
    reference: str
    additive: bool = True  # over independent blocks of coordinates
    monotone: bool = True  # does not grow under marginalisation
    parameter: str | None = None  # a further argument that has to be given
    diagonal_only: bool = False
