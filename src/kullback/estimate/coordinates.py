"""Two densities in coordinates in which p is drawn without rounding: those of the base that p is an image of."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions import Transform

from kullback.errors import ShapeError
from kullback.estimate.adapted import Adapted
from kullback.estimate.densities import Density, Foreign, as_density
from kullback.estimate.images import push
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.changes import as_one_squashing, image, split, without_common_end
from kullback.numerics.arrays import ArrayKind, from_callers_type


@dataclass(frozen=True, eq=False)
class PulledBack(Foreign):
    """A density, in coordinates that a chain of maps takes to its own; 0 where a map is not defined."""

    chain: list[Transform]
    event_dims: int

    @property
    def batch_shape(self) -> torch.Size:
        """That of the density."""
        return torch.Size(self.distribution.batch_shape)

    @property
    def array_kind(self) -> ArrayKind:
        """That of the density."""
        kind: ArrayKind = self.distribution.array_kind
        return kind

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density at the images of points, and the logarithm of the volume that the maps make of one."""
        y, log_volume, inside = push(x, self.chain, self.event_dims)
        log_density = from_callers_type(self.distribution.log_prob(y)).double()
        return torch.where(inside, log_density + log_volume, -torch.inf)


class Drawn(NamedTuple):
    """Two densities in other coordinates than those in which they were given, in which p is to be drawn from."""

    p: Density
    q: Density
    chain: list[Transform]
    """The maps to the coordinates in which they were given."""

    def log_volume(self, x: Tensor) -> Tensor | float:
        """The logarithm of the volume that these maps make of one at points."""
        if not self.chain:
            return 0.0
        return push(x, self.chain, len(self.p.event_shape or ())).log_volume


def in_coordinates_of_base(p: Any, q: Any, names: tuple[str, str]) -> Drawn:
    """Two arguments as densities, without the change of variables that the first comes from.

    Args:
        p: what is drawn from.
        q: the other one.
        names: what errors call them.

    Raises:
        TypeError: if one has no density.
        ShapeError: if the events differ, where the shapes are known.
    """
    name, name_q = names
    density_p, density_q = as_density(p, name), as_density(q, name_q, drawn=False)
    if isinstance(density_p, Foreign) and isinstance(density_p.distribution, Adapted):
        density_p = Foreign(density_p.distribution.beside(density_q.event_shape), name)
    _check_events(density_p, density_q)
    parts = split(p)
    if parts is None or not isinstance(density_p, Foreign):
        return Drawn(density_p, density_q, [])
    base, chain = parts
    left, parts_of_q = chain, split(q)
    if parts_of_q is not None:
        base_q, chain_q = parts_of_q
        left, chain_q, common = without_common_end(chain, chain_q)
        density_p = as_density(image(base, left), name)
        if not left or isinstance(density_p, Gaussian | Mixture):
            return Drawn(density_p, as_density(image(base_q, chain_q), name_q, drawn=False), common)
        left, chain_q = as_one_squashing(left, chain_q)
        density_q = as_density(image(base_q, chain_q), name_q, drawn=False)
    return Drawn(as_density(base, name), PulledBack(density_q, name_q, left, len(base.event_shape)), chain)


def _check_events(p: Density, q: Density) -> None:
    event_p, event_q = p.event_shape, q.event_shape
    if event_p is not None and event_q is not None and event_p != event_q:
        raise ShapeError(
            f"p has event shape {tuple(event_p)}, q has {tuple(event_q)}: they are densities of the same points. The "
            "dimensions that are coordinates are declared by Independent(…, n) in torch, by event_dims here."
        )
