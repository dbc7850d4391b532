"""The best map of each kind, for one objective."""

from collections.abc import Callable
from typing import Literal, get_args

from kullback.alignment.affine import fit_affine
from kullback.alignment.maps import Map
from kullback.alignment.objectives import Objective
from kullback.alignment.orthogonal import fit_orthogonal
from kullback.alignment.permutation import fit_permutation

Kind = Literal["permutation", "rotation", "rotation+shift", "affine"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""What :func:`align` fits, from the smallest group of maps to the largest."""


class Fits:
    """The best map of each kind for some pairs of rows, each fitted once.

    Raises:
        ValueError: if the moments of the rows overflow.
    """

    def __init__(self, objective: Objective, seed: int) -> None:
        if objective.overflows:
            raise ValueError("the products of means and precisions overflow: no map can be fitted.")
        self.objective = objective
        self._seed = seed
        self._maps: dict[Kind, Map] = {}
        self._fit: dict[Kind, Callable[[], Map]] = {
            "permutation": lambda: fit_permutation(self.objective),
            "rotation": lambda: self._orthogonal(shift=False),
            "rotation+shift": lambda: self._orthogonal(shift=True),
            "affine": lambda: fit_affine(self.objective, self("rotation+shift")),
        }

    def __call__(self, kind: Kind) -> Map:
        """The best map of one kind."""
        if kind not in self._maps:
            self._maps[kind] = self._fit[kind]()
        return self._maps[kind]

    def _orthogonal(self, *, shift: bool) -> Map:
        known = [self("permutation"), *([self("rotation")] if shift else [])]
        return fit_orthogonal(self.objective, known, shift=shift, seed=self._seed)
