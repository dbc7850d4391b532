"""The result of an alignment: the map, and what it is worth."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from kullback.alignment.maps import Map
from kullback.alignment.rows import flattened, with_event
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.registry import convert
from kullback.numerics.arrays import ArrayKind, to_callers_type
from kullback.numerics.display import table
from kullback.numerics.moments import ValueMoments
from kullback.numerics.tensors import common_device, compute_dtype


@dataclass(frozen=True)
class MeanDivergence:
    """A mean over rows in nats, with its standard error; ``float()`` gives the mean."""

    mean: float
    standard_error: float
    rows: int

    @classmethod
    def of(cls, values: ValueMoments) -> "MeanDivergence":
        """The mean of values whose moments are given."""
        return cls(values.mean, values.standard_error, values.count)

    @classmethod
    def of_rows(cls, values: Tensor) -> "MeanDivergence":
        """The mean of one value for each row."""
        return cls.of(ValueMoments.of(values))

    def __float__(self) -> float:
        return self.mean

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        return {"mean": self.mean, "standard_error": self.standard_error, "rows": self.rows}


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """The result of :func:`align`: a map g, fitted on one half of the rows, and the divergences of the other half.

    Every divergence is a :class:`MeanDivergence` in nats. ``float()`` of an alignment is ``aligned``.
    """

    kind: str
    """What was fitted: ``"permutation"``, ``"rotation"``, ``"rotation+shift"`` or ``"affine"``."""
    map: Map
    unaligned: MeanDivergence
    """KL(p‖q) as it stands."""
    aligned: MeanDivergence
    """KL(g·p‖q)."""
    chance: MeanDivergence
    """KL(g·p‖q) of rows paired at random, for a map g fitted to such pairs: what an alignment gains from nothing."""
    chance_reverse: MeanDivergence
    """KL(q‖g·p) of the same pairs after the same map."""
    unaligned_reverse: MeanDivergence
    """KL(q‖p) as it stands."""
    aligned_reverse: MeanDivergence
    """KL(q‖g·p), for the map that was fitted to KL(g·p‖q)."""
    rows_fitted: int
    """How many rows the map was fitted to."""
    warnings: tuple[str, ...]
    """What to know before the numbers are used, in sentences."""
    array_kind: ArrayKind = ArrayKind.TORCH

    @property
    def matrix(self) -> Any:
        """The matrix A of the map x -> A x + b, ``(d, d)``, in float64."""
        return to_callers_type(self.map.matrix, self.array_kind)

    @property
    def shift(self) -> Any:
        """The vector b of the map x -> A x + b, ``(d,)``, in float64."""
        return to_callers_type(self.map.shift, self.array_kind)

    @property
    def standard_error(self) -> float:
        """The standard error of ``aligned``."""
        return self.aligned.standard_error

    @property
    def coordinates_share(self) -> float:
        """The share of the unaligned divergence that the map removes; negative if the map adds to it."""
        return 1.0 - self.aligned.mean / self.unaligned.mean if self.unaligned.mean > 0 else 0.0

    @property
    def beats_chance(self) -> bool:
        """Whether ``aligned`` is below ``chance`` by more than four times their common error, over 8 rows or more."""
        noise = 4 * math.hypot(self.aligned.standard_error, self.chance.standard_error)
        return self.aligned.rows >= 8 and self.aligned.mean < self.chance.mean - noise

    def apply(self, x: Any) -> Any:
        """A Gaussian, or a mixture of them, after the map.

        A permutation keeps diagonal Gaussians diagonal and their event; otherwise the event becomes one dimension, and
        a diagonal Gaussian gets the Cholesky factor of its new covariance.

        Args:
            x: batches of Gaussians or mixtures with as many coordinates as p, or a foreign object for such.

        Raises:
            ShapeError: if x has another number of coordinates.
            TypeError: for anything but Gaussians and mixtures of them.
        """
        converted = convert(x, "x")
        if converted is None:
            raise TypeError(f"apply takes a Gaussian or a Mixture, got {type(x).__name__}.")
        if isinstance(converted, Mixture):
            return Mixture.from_logits(converted.log_weights, self._pushed(converted.components))
        return self._pushed(converted)

    def _pushed(self, g: Gaussian) -> Gaussian:
        d = len(self.map.shift)
        if g.event_size != d or not g.event_dims:
            raise ShapeError(f"the alignment is of {d} coordinates, x has event shape {tuple(g.event_shape)}.")
        tensors, event = g.tensors(), g.event_shape
        dtype = compute_dtype(tensors) if tensors else torch.float64
        flat = flattened(g)
        if self.kind == "permutation" and g.scale.is_diagonal:
            return with_event(self.map.permuted(flat), event)
        device = common_device(tensors)
        return flat.affine(self.map.matrix.to(device, dtype), self.map.shift.to(device, dtype))

    def to_dict(self) -> dict[str, Any]:
        """All results as lists, strings and numbers."""
        means = ("unaligned", "aligned", "chance", "unaligned_reverse", "aligned_reverse", "chance_reverse")
        return {
            "kind": self.kind,
            "matrix": self.map.matrix.tolist(),
            "shift": self.map.shift.tolist(),
            **{name: getattr(self, name).to_dict() for name in means},
            "rows_fitted": self.rows_fitted,
            "warnings": list(self.warnings),
        }

    def __float__(self) -> float:
        return self.aligned.mean

    def _repr_html_(self) -> str:
        means = {"as they stand": self.unaligned, f"after {self.kind}": self.aligned, "by chance": self.chance}
        rows = {name: f"{mean.mean:.6g} nats, standard error {mean.standard_error:.2g}" for name, mean in means.items()}
        rows["rows"] = f"{self.aligned.rows:,}; the map was fitted to {self.rows_fitted:,} others"
        return table("Alignment", rows | {f"warning {i}": text for i, text in enumerate(self.warnings, 1)})

    def __repr__(self) -> str:
        numbers = (f"{name}={float(getattr(self, name)):.4g}" for name in ("unaligned", "aligned", "chance"))
        return f"Alignment({self.kind}, {', '.join(numbers)} nats, {self.aligned.rows} rows)"
