"""Two models compared by their posteriors of the same inputs, or one described: by rows, by dimensions, and with the
prior.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

import torch

from kullback.alignment.align import KINDS, Kind
from kullback.comparison.aggregate import NOT_ASKED, Aggregate
from kullback.comparison.aggregate import aggregate as aggregate_rows
from kullback.comparison.aggregate import steps as aggregate_steps
from kullback.comparison.comparison import Comparison
from kullback.comparison.coordinates import Coordinates, coordinates
from kullback.comparison.images import Image, as_image, checked_images
from kullback.comparison.one_model import ALONE, OneModel
from kullback.comparison.progress import Progress
from kullback.comparison.result import Result
from kullback.comparison.rows import alone, paired, rows_of
from kullback.comparison.statistics import Thresholds
from kullback.comparison.summary import Pair, Summary
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.interop.registry import as_gaussian
from kullback.io.model import Posteriors
from kullback.io.text import printable

R = TypeVar("R", bound=Result)

# How many numbers of the means, or of the matrices of Gaussians that are not diagonal, are in a batch of rows. Larger
# ones leave the caches, and memory in pieces.
NUMBERS_PER_BATCH = 2**17

ALIGNMENTS: tuple[Kind, ...] = ("permutation", "rotation")
"""The kinds of alignment that a comparison reports if it is not asked for others."""

DEFAULT_THRESHOLDS = Thresholds()


@overload
def compare(
    a: Any,
    b: None = None,
    *,
    scale: Parameterization | None = ...,
    prior: Any = ...,
    align: Sequence[Kind] = ...,
    aggregate: bool = ...,
    thresholds: Thresholds = ...,
    names: Sequence[str] | None = ...,
    images: Any = ...,
    top: int = ...,
    progress: Callable[[int, int], None] | None = ...,
) -> OneModel: ...


@overload
def compare(
    a: Any,
    b: Any,
    *,
    scale: Parameterization | None = ...,
    prior: Any = ...,
    align: Sequence[Kind] = ...,
    aggregate: bool = ...,
    thresholds: Thresholds = ...,
    names: Sequence[str] | None = ...,
    images: Any = ...,
    top: int = ...,
    progress: Callable[[int, int], None] | None = ...,
) -> Comparison: ...


def compare(
    a: Any,
    b: Any = None,
    *,
    scale: Parameterization | None = None,
    prior: Any = None,
    align: Sequence[Kind] = ALIGNMENTS,
    aggregate: bool = True,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    names: Sequence[str] | None = None,
    images: Any = None,
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison | OneModel:
    """Compare the posteriors of two models over the same inputs, or describe those of one.

    Models that were trained separately share latent coordinates at best up to a permutation, signs and a rotation. So
    the divergence is reported as they stand, and after the alignments that :func:`align` fits. All divergences are
    computed in float64, in batches of rows.

    Without ``b`` the posteriors of one model are compared with the prior: its rate, its active and collapsed
    dimensions, and the parts of its rate with the total correlation of its aggregated posterior.

    Args:
        a: the posteriors of the first model: a Gaussian with one batch dimension (one row for each input), as
            :func:`encode` returns it; what :func:`as_gaussian` takes, such as a ``torch.distributions``
            Independent(Normal), an output of diffusers or pythae, or a list with a Gaussian for each input;
            ``(mean, scale)``, two tensors or NumPy arrays of shape ``(N, d)`` or ``(N, C, H, W)``; or the path of a
            file that contains one model, of a folder of ``.npy`` files, or of two with a comma between,
            ``"a_mu.npy,a_logvar.npy"``.
        b: the posteriors of the second model, of the same shape, or None for one model. Two files are joined by
            their ids if both have some.
        scale: what the second of two arrays is, ``"std"``, ``"variance"``, ``"logvar"`` or ``"log_std"``; and what a
            column of a file contains whose name does not say it (``sigma``). What states its scale by itself is not
            affected.
        prior: the Gaussian that every model is compared with; None is the standard normal.
        align: the kinds of alignment of two models, as :func:`align` takes them; () for none.
        aggregate: whether the aggregated posteriors are estimated too, of 2,000 rows at most.
        thresholds: by what latent dimensions are called active, collapsed, and partners.
        names: the names of the models in the results; A and B without them.
        images: the inputs as images, an array ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; the report shows
            those that differ most. The column ``image`` of a file is used if there is one.
        top: how many of the inputs that differ most are listed.
        progress: called now and then with the number of steps done and the number of all steps: one for each row, as
            many again for each kind of alignment, and for the aggregated posteriors.

    Returns:
        A :class:`Comparison`; of one model a :class:`~kullback.comparison.OneModel`, which has its methods
            and the numbers of model A.

    Raises:
        ShapeError: if a or b is not a batch of one Gaussian for each input, their shapes differ, or ``images`` is no
            array of one image for each input.
        TypeError: if a or b is nothing that can be read as Gaussians.
        ValueError: if ``scale`` is not given for two arrays, there is not one name for each model, or a kind of
            alignment is not known.
        PosteriorFileError: if a file does not contain posteriors.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, compare
        >>> a = Gaussian.from_logvar(torch.zeros(100, 8), torch.zeros(100, 8))
        >>> b = Gaussian.from_std(torch.ones(100, 8), 1.0)
        >>> compare(a, b).scalars()["kl_ab.mean"]
        4.0
        >>> print(compare(b, aggregate=False).findings()[0])
        The rate of A, its mean KL divergence from the prior N(0, I), is 4 nats; 0 of 8 dimensions are active ...
    """
    first = rows_of(a, "a", scale)
    if images is not None:
        first = first.with_images(checked_images(images, len(first)))
    options: dict[str, Any] = {
        "prior": prior, "aggregate": aggregate, "thresholds": thresholds, "names": names, "top": top,
        "progress": progress,
    }  # fmt: skip
    if b is None:
        return describe_rows(*alone(first), **options)
    return compare_rows(*paired(first, rows_of(b, "b", scale)), align=align, **options)


def compare_rows(
    ids: Sequence[Any],
    first: Posteriors,
    second: Posteriors,
    *,
    align: Sequence[Kind] = ALIGNMENTS,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    **options: Any,
) -> Comparison:
    """:func:`compare` for rows of two models that have already been read, joined and checked, and their ids."""
    if align is None or isinstance(align, str) or not set(align) <= set(KINDS):
        raise ValueError(f"align takes kinds of alignment, some of {', '.join(KINDS)}, as a tuple, got {align!r}.")

    def aligned(summary: Summary, step: Callable[[], None]) -> Coordinates | str:
        return coordinates(ids, first.gaussian, second.gaussian, summary, align, thresholds, step)

    return _result(Comparison, ids, (first, second), aligned, len(align), thresholds=thresholds, **options)


def describe_rows(ids: Sequence[Any], model: Posteriors, **options: Any) -> OneModel:
    """:func:`compare` for rows of one model that have already been read and checked, and their ids."""
    return _result(OneModel, ids, (model,), lambda summary, step: ALONE, 0, **options)


def _result(
    kind: type[R],
    ids: Sequence[Any],
    models: tuple[Posteriors, ...],
    align: Callable[[Summary, Callable[[], None]], Coordinates | str],
    alignments: int,
    *,
    prior: Any = None,
    aggregate: bool = True,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    names: Sequence[str] | None = None,
    top: int = 10,
    progress: Callable[[int, int], None] | None = None,
) -> R:
    """What is found out about models; ``align`` finds their alignments, of so many kinds."""
    gaussians = [model.gaussian for model in models]
    reference = _reference(prior, gaussians[0].event_shape)
    called = _called(names, len(models))
    if not isinstance(top, int) or top < 1:
        raise ValueError(f"top is how many inputs are listed, 1 or more, got {top!r}.")
    report = Progress(len(ids) * (1 + alignments + aggregate), progress)
    summary = Summary.empty(kept=top)
    for rows in _batches(gaussians):
        summary = summary.update(ids[rows], *(g[rows] for g in gaussians), prior=reference)
        report.add(rows.stop - rows.start)
    aligned = align(summary, lambda: report.add(len(ids)))
    aggregated: Aggregate | str = NOT_ASKED
    if aggregate:
        g = aligned.best.map if isinstance(aligned, Coordinates) else None
        aggregated = aggregate_rows(
            gaussians, reference, g, lambda: report.add(len(ids) / aggregate_steps(len(models)))
        )
    report.finish()
    # The standard normal is the only Gaussian with an event that holds no tensors.
    is_standard = prior is None or not reference.tensors()
    event = gaussians[0].event_shape
    return kind(
        summary,
        event,
        called,
        "N(0, I)" if is_standard else "given by the caller",
        reference.detach().to(torch.float64, torch.device("cpu")).variance.broadcast_to(event).flatten(),
        thresholds,
        aligned,
        aggregated,
        _images(models, ids, _listed(summary, kind.shown, aligned)),
    )


def _reference(prior: Any, event: torch.Size) -> Gaussian:
    """The prior as one Gaussian of this event; the standard normal without one."""
    reference = Gaussian.standard(event) if prior is None else as_gaussian(prior, "prior")
    if reference.event_shape != event or reference.batch_shape:
        raise ShapeError(
            f"prior has batch shape {tuple(reference.batch_shape)} and event shape {tuple(reference.event_shape)}; "
            f"expected one Gaussian of event shape {tuple(event)}."
        )
    return reference


def _called(names: Sequence[str] | None, models: int) -> tuple[str, ...]:
    """The names of so many models, or A, B."""
    if names is None:
        return ("A", "B")[:models]
    if isinstance(names, str) or len(names) != models or len(set(names)) != models:
        many = ("one name, as a tuple", "two different names")[models - 1]
        raise ValueError(f"names must be {many}, got {names!r}.")
    return tuple(printable(name) for name in names)


def _listed(summary: Summary, shown: Sequence[Pair], aligned: Coordinates | str) -> set[Any]:
    """The ids of the inputs that a report lists."""
    found = {id_ for pair in shown for id_ in summary.divergences[pair].largest.ids}
    return found | set(aligned.largest_ids if isinstance(aligned, Coordinates) else ())


def _images(models: Sequence[Posteriors], ids: Sequence[Any], listed: set[Any]) -> dict[Any, Image]:
    """The images of the listed inputs, where a model has them."""
    illustrated = [posteriors for posteriors in models if posteriors.images is not None]
    rows = [row for row, id_ in enumerate(ids) if id_ in listed] if illustrated else []
    for posteriors in illustrated:
        images = [as_image(x) for x in posteriors.image_rows(rows)]
        if any(image is not None for image in images):
            return {ids[row]: image for row, image in zip(rows, images, strict=True) if image is not None}
    return {}


def _batches(gaussians: Sequence[Gaussian]) -> Iterator[slice]:
    is_diagonal = all(g.scale.is_diagonal for g in gaussians)
    rows, n = len(gaussians[0]), gaussians[0].event_size
    size = max(1, NUMBERS_PER_BATCH // n ** (1 if is_diagonal else 2))
    return (slice(i, min(i + size, rows)) for i in range(0, rows, size))
