"""Several models compared, each with each: which of them agree up to coordinates, and how far apart the others are."""

import functools
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from kullback.alignment.fits import Kind
from kullback.comparison.compare import ALIGNMENTS, DEFAULT_THRESHOLDS, OnBad, compare_rows, skips
from kullback.comparison.comparison import Comparison
from kullback.comparison.images import Images, checked_images, of_array
from kullback.comparison.inputs import read_models
from kullback.comparison.pair import Pair
from kullback.comparison.rows import paired
from kullback.comparison.statistics import Thresholds
from kullback.engines.base import Engine
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.model import Model
from kullback.io.posteriors import distinct_names
from kullback.io.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GROUPED_BELOW = 0.7


def compare_all(
    models: Mapping[str, Any] | Sequence[Any],
    *,
    names: Sequence[str] | None = None,
    scale: Parameterization | None = None,
    prior: Any = None,
    align: Sequence[Kind] = ALIGNMENTS,
    aggregate: bool = False,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    images: Any = None,
    top: int = 10,
    on_bad: OnBad = "raise",
    engine: Engine | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> "Comparisons":
    """Compare the posteriors of several models over the same inputs, each with each.

    It is :func:`compare` for each pair, with what the pairs tell together: matrices of divergences as the models stand
    and after the best alignment, a hierarchical clustering, and a picture in the plane.

    Args:
        models: two or more, each as :func:`compare` takes them; a mapping gives them by name.
        names: the names of the models, all different; without them those of the files, or A, B, ….
        scale: as for :func:`compare`.
        prior: as for :func:`compare`.
        align: as for :func:`compare`.
        aggregate: whether the aggregated posteriors of each pair are compared too.
        thresholds: as for :func:`compare`.
        images: as for :func:`compare`.
        top: as for :func:`compare`.
        on_bad: as for :func:`compare`.
        engine: as for :func:`compare`.
        progress: called now and then with the number of steps done and the number of all steps.

    Returns:
        :class:`Comparisons`.

    Raises:
        ShapeError: if a model is not a batch of one Gaussian for each input, or shapes differ.
        TypeError: if a model is nothing that can be read as Gaussians.
        ValueError: if there are fewer than two models, or names are not all different.
        PosteriorFileError: if a file does not contain posteriors.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, compare_all
        >>> mean = torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        >>> a, b, c = (Gaussian.from_std(x, 0.1) for x in (mean, -mean, mean.flip(0)))
        >>> compare_all({"a": a, "reflected": b, "shuffled": c}).groups
        [('a', 'reflected'), ('shuffled',)]
    """
    if isinstance(models, Mapping):
        if names is not None:
            raise ValueError("a mapping names its models: omit names.")
        names, models = list(models), list(models.values())
    if isinstance(models, (str, os.PathLike)) or len(models) < 2:
        raise ValueError(f"compare_all takes a sequence of two models or more, got {printable(models)[:80]}.")
    skip = skips(on_bad)
    read = read_models({f"models[{i}]": x for i, x in enumerate(models)}, scale, skip=skip)
    if images is not None:
        images = of_array(checked_images(images, len(read[0])))
    if names is None:
        of_files = all(isinstance(x, (str, os.PathLike)) for x in models)
        names = distinct_names([p.name if of_files else "" for p in read], [p.source for p in read])
    return compare_all_rows(
        read,
        names,
        prior=prior,
        align=align,
        aggregate=aggregate,
        thresholds=thresholds,
        top=top,
        skip=skip,
        images=images,
        engine=engine,
        progress=progress,
    )


def compare_all_rows(
    models: Sequence[Model],
    names: Sequence[str],
    *,
    skip: bool = False,
    images: Images | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> "Comparisons":
    """:func:`compare_all` for models that have already been read; ``options`` are those of :func:`compare_rows`."""
    if isinstance(names, str) or len(names) != len(models) or len(set(names)) != len(names):
        raise ValueError(f"names must be {len(models)} different names, got {names!r}.")
    pairs = list(itertools.combinations(range(len(models)), 2))
    found = {}
    for done, (i, j) in enumerate(pairs):

        def of_pair(steps: int, total: int, done: int = done) -> None:
            if progress:
                progress(done * total + steps, len(pairs) * total)

        rows = paired(models[i], models[j], skip=skip)
        found[i, j] = compare_rows(
            rows, names=(names[i], names[j]), images=images or _images(models), progress=of_pair, **options
        )
    return Comparisons(tuple(printable(name) for name in names), found)


def _images(models: Sequence[Model]) -> Images:
    """The images of the first model that has some, by the ids of rows if it has ids."""

    def of(numbers: Sequence[int], ids: Sequence[Any]) -> list[Any]:
        for model in models:
            rows: Sequence[int] | None = numbers
            if model.has_ids:
                rows = model.rows_of(ids)
            if rows is not None and (found := model.image_rows(rows)):
                return found
        return []

    return of


@dataclass(frozen=True, eq=False)
class Comparisons:
    """The result of :func:`compare_all`: the :class:`Comparison` of each pair, and what they tell together.

    ``comparisons["x", "y"]`` is that of the models called x and y; its A is the one that was given first.
    """

    names: tuple[str, ...]
    """The names of the models, in the order in which they were given."""
    pairs: dict[tuple[int, int], Comparison]
    """The comparison of each pair of models i < j, by their places."""

    def __getitem__(self, names: tuple[str, str]) -> Comparison:
        places = [self.names.index(name) for name in names if name in self.names]
        if len(places) != 2 or places[0] == places[1]:
            raise KeyError(f"expected two of the names {', '.join(self.names)}, got {names!r}")
        return self.pairs[min(places), max(places)]

    @functools.cached_property
    def unaligned(self) -> Tensor:
        """The mean KL divergence of the model of each row from that of each column, as they stand, in nats."""

        def of(comparison: Comparison) -> tuple[float, float]:
            found = comparison.coordinates
            if found:
                return found.best.unaligned.mean, found.best.unaligned_reverse.mean
            there, back = (comparison.statistics(pair)["mean"] for pair in (Pair.AB, Pair.BA))
            return there, back

        return self._matrix(of)

    @functools.cached_property
    def aligned(self) -> Tensor:
        """The same after the alignment of each pair that leaves least; NaN for pairs without one.

        The map is fitted to the divergence of the model that was given first from the other, and serves both.
        """

        def of(comparison: Comparison) -> tuple[float, float]:
            found = comparison.coordinates
            return (found.best.aligned.mean, found.best.aligned_reverse.mean) if found else (float("nan"),) * 2

        return self._matrix(of)

    def _matrix(self, of: Callable[[Comparison], tuple[float, float]]) -> Tensor:
        matrix = torch.zeros(2 * (len(self.names),), dtype=torch.float64, device="cpu")
        for (i, j), comparison in self.pairs.items():
            matrix[i, j], matrix[j, i] = of(comparison)
        return matrix

    @functools.cached_property
    def distances(self) -> Tensor:
        """The mean of both directions of ``aligned``, or of ``unaligned`` for pairs without an alignment, in nats."""
        chosen = torch.where(self.aligned.isnan(), self.unaligned, self.aligned)
        return 0.5 * (chosen + chosen.mT)

    @functools.cached_property
    def linkage(self) -> "np.ndarray[Any, Any] | None":
        """The hierarchical clustering by ``distances`` with average linkage, as ``scipy.cluster.hierarchy`` has it.

        None if a distance is not finite.
        """
        from scipy.cluster.hierarchy import linkage
        from scipy.spatial.distance import squareform

        if not self.distances.isfinite().all():
            return None
        found: np.ndarray[Any, Any] = linkage(squareform(self.distances.numpy(), checks=False), method="average")
        return found

    @property
    def grouped_below(self) -> float:
        """The distance below which the clustering joins models of one group, in nats: 70 % of its greatest."""
        return float("nan") if self.linkage is None else _GROUPED_BELOW * float(self.linkage[-1, 2])

    @property
    def groups(self) -> list[tuple[str, ...]]:
        """The names of models that the clustering joins below ``grouped_below``."""
        from scipy.cluster.hierarchy import fcluster

        if self.linkage is None:
            return [(name,) for name in self.names]
        labels = fcluster(self.linkage, self.grouped_below, criterion="distance").tolist()
        groups: dict[int, list[str]] = {}
        for label, name in zip(labels, self.names, strict=True):
            groups.setdefault(label, []).append(name)
        return [tuple(group) for group in groups.values()]

    @functools.cached_property
    def embedding(self) -> "tuple[Tensor, float] | None":
        """Points in the plane, ``(M, 2)``, and the share of the models' scatter that they show.

        Squared distances of the points resemble ``distances``, by classical multidimensional scaling (Torgerson 1952):
        the divergence of Gaussians of equal covariances is half a squared distance. None if a distance is not finite.
        """
        if not self.distances.isfinite().all():
            return None
        size = len(self.names)
        centring = torch.eye(size, dtype=torch.float64, device="cpu") - 1.0 / size
        values, vectors = torch.linalg.eigh(-0.5 * centring @ self.distances @ centring)
        values = values.clamp(min=0.0)
        points = torch.nn.functional.pad((vectors * values.sqrt()).flip(-1), (0, 1))[:, :2]
        scatter = float(values.sum())
        return points, float(values[-2:].sum()) / scatter if scatter > 0 else 1.0

    def findings(self) -> list[str]:
        """The main results as sentences with numbers, the most important first."""
        from kullback.comparison.findings_of_all import findings

        return findings(self)

    def to_dict(self) -> dict[str, Any]:
        """All results as lists, strings and numbers; None stands for a number that is not finite."""
        from kullback.comparison.report.several_plain import to_dict

        return to_dict(self)

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON."""
        from kullback.io.output import json_of

        return json_of(self.to_dict())

    def figures(self) -> "dict[str, Figure]":
        """The dendrogram and the picture in the plane, by name, as matplotlib figures."""
        from kullback.comparison.report.several_figures import draw

        return draw(self)

    def report(self, path: str | os.PathLike[str], *, command: str | None = None) -> None:
        """Write the matrices, the figures, and each pair as one HTML file that loads nothing else.

        Args:
            path: the file, ``.html``.
            command: how the comparison was made, for the last lines of the page, beside the versions.
        """
        from kullback.comparison.report.several_html import write

        write(self, path, command)

    def __str__(self) -> str:
        from kullback.comparison.report.several_plain import to_text

        return to_text(self)

    def __repr__(self) -> str:
        return f"Comparisons({', '.join(self.names)})"

    def _repr_html_(self) -> str:
        from kullback.comparison.report.several_html import fragment

        return fragment(self)
