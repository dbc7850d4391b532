"""Two models compared by their posteriors of the same inputs: by rows, by dimensions, and with the prior."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from kullback.alignment.align import KINDS, Kind
from kullback.comparison.aggregate import NOT_ASKED, Aggregate
from kullback.comparison.aggregate import STEPS as AGGREGATE_STEPS
from kullback.comparison.aggregate import aggregate as aggregate_rows
from kullback.comparison.comparison import Comparison
from kullback.comparison.coordinates import Coordinates, coordinates
from kullback.comparison.images import Image, as_image, checked_images
from kullback.comparison.progress import Progress
from kullback.comparison.rows import paired, rows_of
from kullback.comparison.statistics import Thresholds
from kullback.comparison.summary import Pair, Summary
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.interop.registry import as_gaussian
from kullback.io.model import Posteriors
from kullback.io.text import printable

# How many numbers of the means, or of the matrices of Gaussians that are not diagonal, are in a batch of rows. Larger
# ones leave the caches, and memory in pieces.
NUMBERS_PER_BATCH = 2**17

ALIGNMENTS: tuple[Kind, ...] = ("permutation", "rotation")
"""The kinds of alignment that a comparison reports if it is not asked for others."""

DEFAULT_THRESHOLDS = Thresholds()


def compare(
    a: Any,
    b: Any,
    *,
    scale: Parameterization | None = None,
    prior: Any = None,
    align: Sequence[Kind] = ALIGNMENTS,
    aggregate: bool = True,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    names: tuple[str, str] = ("A", "B"),
    images: Any = None,
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> "Comparison":
    """Compare the posteriors of two models over the same inputs.

    Models that were trained separately share latent coordinates at best up to a permutation, signs and a rotation. So
    the divergence is reported as they stand, and after the alignments that :func:`align` fits. All divergences are
    computed in float64, in batches of rows.

    Args:
        a: the posteriors of the first model: a Gaussian with one batch dimension (one row for each input), as
            :func:`encode` returns it; what :func:`as_gaussian` takes, such as a ``torch.distributions``
            Independent(Normal) or an output of diffusers or pythae; ``(mean, scale)``, two tensors or NumPy arrays of
            shape ``(N, d)`` or ``(N, C, H, W)``; or the path of a file that contains one model.
        b: the posteriors of the second model, of the same shape. Two files are joined by their ids if both have some.
        scale: what the second of two arrays is, ``"std"``, ``"variance"``, ``"logvar"`` or ``"log_std"``; and what a
            column of a file contains whose name does not say it (``sigma``). What states its scale by itself is not
            affected.
        prior: the Gaussian that both models are compared with; None is the standard normal.
        align: the kinds of alignment, as :func:`align` takes them; () for none.
        aggregate: whether the aggregated posteriors are compared too, of 2,000 rows at most.
        thresholds: by what latent dimensions are called active, collapsed, and partners.
        names: the names of the two models in the results.
        images: the inputs as images, an array ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; the report shows
            those that differ most. The column ``image`` of a file is used if there is one.
        top: how many of the inputs that differ most are listed.
        progress: called now and then with the number of steps done and the number of all steps: one for each row, as
            many again for each kind of alignment, and for the aggregated posteriors.

    Returns:
        A :class:`Comparison`.

    Raises:
        ShapeError: if a or b is not a batch of one Gaussian for each input, their shapes differ, or ``images`` is no
            array of one image for each input.
        TypeError: if a or b is nothing that can be read as Gaussians.
        ValueError: if ``scale`` is not given for two arrays, the two names are equal, or a kind of alignment is not
            known.
        PosteriorFileError: if a file does not contain posteriors.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, compare
        >>> a = Gaussian.from_logvar(torch.zeros(100, 8), torch.zeros(100, 8))
        >>> b = Gaussian.from_std(torch.ones(100, 8), 1.0)
        >>> compare(a, b).scalars()["kl_ab.mean"]
        4.0
    """
    ids, p, q = paired(rows_of(a, "a", scale), rows_of(b, "b", scale))
    if images is not None:
        p = p.with_images(checked_images(images, len(p)))
    return compare_rows(
        ids,
        p,
        q,
        prior=prior,
        align=align,
        aggregate=aggregate,
        thresholds=thresholds,
        names=names,
        top=top,
        progress=progress,
    )


def compare_rows(
    ids: Sequence[Any],
    first: Posteriors,
    second: Posteriors,
    *,
    prior: Any = None,
    align: Sequence[Kind] = ALIGNMENTS,
    aggregate: bool = True,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    names: tuple[str, str] = ("A", "B"),
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> "Comparison":
    """:func:`compare` for rows that have already been read, joined and checked, and the ids of these rows."""
    p, q = first.gaussian, second.gaussian
    if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
        raise ValueError(f"names must be two different names, got {names!r}.")
    if align is None or isinstance(align, str) or not set(align) <= set(KINDS):
        raise ValueError(f"align takes kinds of alignment, some of {', '.join(KINDS)}, as a tuple, got {align!r}.")
    reference = Gaussian.standard(p.event_shape) if prior is None else as_gaussian(prior, "prior")
    if reference.event_shape != p.event_shape or reference.batch_shape:
        raise ShapeError(
            f"prior has batch shape {tuple(reference.batch_shape)} and event shape {tuple(reference.event_shape)}; "
            f"expected one Gaussian of event shape {tuple(p.event_shape)}."
        )
    if not isinstance(top, int) or top < 1:
        raise ValueError(f"top is how many inputs are listed, 1 or more, got {top!r}.")
    report = Progress(len(ids) * (1 + len(align) + aggregate), progress)
    summary = Summary.empty(kept=top)
    for rows in _batches(p, q):
        summary = summary.update(ids[rows], p[rows], q[rows], reference)
        report.add(rows.stop - rows.start)
    aligned = coordinates(ids, p, q, summary, align, thresholds, lambda: report.add(len(ids)))
    aggregated: Aggregate | str = NOT_ASKED
    if aggregate:
        g = aligned.best.map if isinstance(aligned, Coordinates) else None
        aggregated = aggregate_rows(p, q, reference, g, lambda: report.add(len(ids) / AGGREGATE_STEPS))
    report.finish()
    # The standard normal is the only Gaussian with an event that holds no tensors.
    is_standard = prior is None or not reference.tensors()
    called = (printable(names[0]), printable(names[1]))
    return Comparison(
        summary,
        p.event_shape,
        called,
        "N(0, I)" if is_standard else "given by the caller",
        reference.detach().to(torch.float64, torch.device("cpu")).variance.broadcast_to(p.event_shape).flatten(),
        thresholds,
        aligned,
        aggregated,
        _images(first, second, ids, _listed(summary, aligned)),
    )


def _listed(summary: Summary, aligned: Coordinates | str) -> set[Any]:
    """The ids of the inputs that a report lists."""
    found = {id_ for pair in (Pair.AB, Pair.BA) for id_ in summary.divergences[pair].largest.ids}
    return found | set(aligned.largest_ids if isinstance(aligned, Coordinates) else ())


def _images(first: Posteriors, second: Posteriors, ids: Sequence[Any], listed: set[Any]) -> dict[Any, Image]:
    """The images of the listed inputs, where either model has them."""
    illustrated = [posteriors for posteriors in (first, second) if posteriors.images is not None]
    rows = [row for row, id_ in enumerate(ids) if id_ in listed] if illustrated else []
    for posteriors in illustrated:
        images = [as_image(x) for x in posteriors.image_rows(rows)]
        if any(image is not None for image in images):
            return {ids[row]: image for row, image in zip(rows, images, strict=True) if image is not None}
    return {}


def _batches(p: Gaussian, q: Gaussian) -> Iterator[slice]:
    is_diagonal = p.scale.is_diagonal and q.scale.is_diagonal
    size = max(1, NUMBERS_PER_BATCH // p.event_size ** (1 if is_diagonal else 2))
    return (slice(i, min(i + size, len(p))) for i in range(0, len(p), size))
