"""The alignment of two batches of Gaussians over the same inputs."""

import functools
from typing import Any

import torch

from kullback.alignment.alignment import Alignment, MeanDivergence
from kullback.alignment.fits import KINDS, Fits, Kind
from kullback.alignment.maps import Map, divergences
from kullback.alignment.objectives import objective
from kullback.alignment.rows import Rows
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import gaussians_for
from kullback.numerics.arrays import common_array_kind


def align(p: Any, q: Any, kind: Kind = "rotation", *, seed: int = 0) -> Alignment:
    r"""The change of coordinates g of p that leaves the least mean divergence KL(g·p‖q), and what is left.

    Two trainings of one model agree on their latent coordinates at best up to such a map, so that their divergence as
    they stand is mostly one of coordinates. The map is fitted on one half of the rows, which the seed chooses; all
    divergences that are reported are those of the other half. ``chance`` is the same for rows that are paired at
    random.

    * ``"permutation"``: coordinates are permuted and change signs. For diagonal q the best one is found, by linear
      assignment.
    * ``"rotation"``: an orthogonal matrix of determinant 1 or -1.
    * ``"rotation+shift"``: the same and a vector.
    * ``"affine"``: any invertible matrix and a vector. The divergence contains :math:`-\log|\det A|`, so that the map
      does not shrink space.

    All but the first are local minima found by L-BFGS from several starts: the solution of the Procrustes problem, the
    best permutation, and random ones. For diagonal q and up to 256 coordinates a step takes the same time for any
    number of rows. Collapsed coordinates do no harm.

    Shape:
        p and q have one batch dimension ``(N,)``, a row for each input, and the same event of d coordinates, up to 512.
    Units:
        Nats.
    Gradient:
        None.

    Args:
        p: the Gaussians that are mapped, of any kind; float32 is computed in float64.
        q: the Gaussians that they are compared with, of any kind.
        kind: which maps are considered.
        seed: it determines the halves of the rows, the random pairs and the random starts.

    Returns:
        An :class:`Alignment`.

    Raises:
        ShapeError: if p and q are not batches of the same shape, with at least 4 rows and at most 512 coordinates.
        ValueError: for an unknown kind, or if a number is not finite, or the moments overflow.

    Reference:
        P. H. Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31, 1966.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, align
        >>> mean = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
        >>> p = Gaussian.from_std(mean, 0.1)
        >>> q = Gaussian.from_std(mean.flip(1) * torch.tensor([1.0, -1.0]), 0.1)
        >>> alignment = align(p, q, "permutation")
        >>> alignment.matrix
        tensor([[ 0.,  1.],
                [-1.,  0.]], dtype=torch.float64)
        >>> float(alignment) < 1e-6 < float(alignment.unaligned)
        True
    """
    if kind not in KINDS:
        raise ValueError(f"the kinds of alignment are {', '.join(KINDS)}, got {kind!r}.")
    p, q = gaussians_for("align", p, q)
    if p.event_shape != q.event_shape or p.batch_shape != q.batch_shape or len(p.batch_shape) != 1 or not p.event_dims:
        raise ShapeError(
            f"p has batch shape {tuple(p.batch_shape)} and event shape {tuple(p.event_shape)}, q has "
            f"{tuple(q.batch_shape)} and {tuple(q.event_shape)}: align takes one Gaussian of each for each input, of "
            "batch shape (N,) and equal events."
        )
    return Aligner(p, q, seed=seed)(kind)


_MAX_DIMENSIONS = 512
_MIN_ROWS = 4


def check_size(rows: int, dimensions: int) -> None:
    """Raise a ShapeError unless so many rows of so many dimensions can be aligned."""
    if rows < _MIN_ROWS:
        raise ShapeError(f"p and q have {rows} rows; an alignment takes at least {_MIN_ROWS}: half to report on.")
    if dimensions > _MAX_DIMENSIONS:
        raise ShapeError(f"p and q have {dimensions:,} dimensions; an alignment takes at most {_MAX_DIMENSIONS}.")


# A row with more than this share of the divergence decides what map is fitted.
_DOMINANT_SHARE = 0.5


def warnings_of(rows: int, dimensions: int, share: float, row: int) -> tuple[str, ...]:
    """What to know of a map that was fitted to so many rows, of whose divergence one row has a share."""
    warnings = []
    if rows < dimensions:
        warnings.append(
            f"the map of {dimensions} dimensions was fitted to {rows:,} rows: fewer rows than dimensions do not "
            "determine a map, and what is left says little"
        )
    if rows > 2 and share > _DOMINANT_SHARE:
        warnings.append(
            f"row {row} (counted from 0) has {share:.0%} of the divergence of the rows that the map was fitted to, "
            "so that the map may suit this row alone"
        )
    return tuple(warnings)


class Aligner:
    """Alignments of two batches of the same shape; several kinds share their moments and fits.

    Raises:
        ShapeError: if there are too few rows or too many dimensions.
        ValueError: if a number is not finite.
    """

    def __init__(self, p: Gaussian, q: Gaussian, *, seed: int) -> None:
        _check(p, q)
        self._array_kind = common_array_kind((p.array_kind, q.array_kind))
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(p), generator=generator, device="cpu")
        fitted, held_out = order.tensor_split(2)
        # Random pairs: the order is random, and no row is the next one.
        partners_fitted, partners_held_out = fitted.roll(1), held_out.roll(1)
        self._fitted = Rows(p, fitted), Rows(q, fitted)
        self._pairs = Fits(objective(*self._fitted), seed)
        self._random_pairs = Fits(objective(Rows(p, fitted), Rows(q, partners_fitted)), seed)
        # The rows that no map is fitted to, and random partners of those of p.
        self.p, self.q, self.partners = Rows(p, held_out), Rows(q, held_out), Rows(q, partners_held_out)

    def __call__(self, kind: Kind) -> Alignment:
        """The alignment of one kind."""
        p, q = self.p, self.q
        g, by_chance = self._pairs(kind), self._random_pairs(kind)
        return Alignment(
            kind,
            g,
            unaligned=self._unaligned[0],
            aligned=MeanDivergence.of_rows(divergences(p, q, g)),
            chance=MeanDivergence.of_rows(divergences(p, self.partners, by_chance)),
            chance_reverse=MeanDivergence.of_rows(divergences(self.partners, p, by_chance.inverse())),
            unaligned_reverse=self._unaligned[1],
            aligned_reverse=MeanDivergence.of_rows(divergences(q, p, g.inverse())),
            rows_fitted=self._pairs.objective.count,
            warnings=self._warnings,
            array_kind=self._array_kind,
        )

    @functools.cached_property
    def _unaligned(self) -> tuple[MeanDivergence, MeanDivergence]:
        identity = Map.identity(self.p.dimensions)
        pairs = (self.p, self.q), (self.q, self.p)
        there, back = (MeanDivergence.of_rows(divergences(*pair, identity)) for pair in pairs)
        return there, back

    @functools.cached_property
    def _warnings(self) -> tuple[str, ...]:
        n, d = self._pairs.objective.count, self.p.dimensions
        p, q = (rows.first(n) for rows in self._fitted)
        values = divergences(p, q, Map.identity(d))
        return warnings_of(n, d, float(values.max() / values.sum()), int(p.index[values.argmax()]))


def _check(p: Gaussian, q: Gaussian) -> None:
    check_size(len(p), p.event_size)
    for name, g in (("p", p), ("q", q)):
        if not all(bool(x.isfinite().all()) for x in g.tensors()):
            raise ValueError(f"{name} has a mean or a scale that is not finite: no map can be fitted.")
