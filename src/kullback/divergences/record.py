"""What is true of a divergence: read by its public function, the command line, ``pairwise``, the tests and the docs.

Imports no torch, so that ``kullback --help`` can read it.
"""

import math
from dataclasses import dataclass
from typing import Literal

Invariance = Literal["affine", "isometry", "none"]


@dataclass(frozen=True)
class Parameter:
    """A further argument of a divergence."""

    name: str
    default: float | bool | None
    """None: it has to be given."""
    range: str
    """The values that it may have, in words; of a boolean, none."""
    help: str


@dataclass(frozen=True)
class Record:
    """One divergence and its properties."""

    name: str
    """Of the public function."""
    module: str
    """Of the file in this package, and of the command."""
    title: str
    tex: str
    """Its definition."""
    symmetric: bool
    metric: bool
    bounded: bool
    """From above, by 1."""
    invariance: Invariance
    """The maps that change nothing when they are applied to both arguments."""
    reference: str
    additive: bool = True
    """Over independent blocks of coordinates."""
    monotone: bool = True
    """Does not grow under marginalization."""
    parameters: tuple[Parameter, ...] = ()
    diagonal_only: bool = False
    apart: float | None = math.inf
    """Its value for Gaussians that have no density with respect to each other, singular ones of different supports;
    None if it is not one of densities."""

    @property
    def required(self) -> tuple[Parameter, ...]:
        """The parameters that have to be given."""
        return tuple(parameter for parameter in self.parameters if parameter.default is None)
