"""Two models compared by their posteriors of the same inputs, or one described: by rows, by dimensions, and with the
prior.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar, get_args, overload

import torch

from kullback.alignment.fits import KINDS, Kind
from kullback.comparison.aggregate import MAX_AGGREGATED, NOT_ASKED, Aggregate
from kullback.comparison.aggregate import aggregate as aggregate_rows
from kullback.comparison.aggregate import steps as aggregate_steps
from kullback.comparison.comparison import Comparison
from kullback.comparison.coordinates import Coordinates, Leave, coordinates
from kullback.comparison.images import Image, Images, as_image, checked_images, of_array
from kullback.comparison.inputs import read_models
from kullback.comparison.one_model import ALONE, OneModel
from kullback.comparison.pair import Pair
from kullback.comparison.passes import Passes, State
from kullback.comparison.progress import Progress
from kullback.comparison.result import Result
from kullback.comparison.rows import paired, single
from kullback.comparison.statistics import Thresholds
from kullback.comparison.summary import Summary
from kullback.engines.base import Engine
from kullback.engines.local import Local
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.interop.registry import as_gaussian
from kullback.io.rows import ModelRows
from kullback.io.text import printable

R = TypeVar("R", bound=Result)

OnBad = Literal["raise", "skip"]

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
    on_bad: OnBad = ...,
    engine: Engine | None = ...,
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
    on_bad: OnBad = ...,
    engine: Engine | None = ...,
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
    on_bad: OnBad = "raise",
    engine: Engine | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Comparison | OneModel:
    """Compare the posteriors of two models over the same inputs, or describe those of one.

    Models that were trained separately share latent coordinates at best up to a permutation, signs and a rotation. So
    the divergence is reported as they stand, and after the alignments that :func:`align` fits. All divergences are
    computed in float64, in batches of rows, so that memory does not grow with the rows of files. Rows are read twice:
    for the divergences as they stand and what alignments are fitted to, and for what these leave. Of more than about a
    million rows, quantiles and pictures are those of a sample of about as many; of more than 2,000,
    aggregated posteriors are those of 2,000.

    Without ``b`` the posteriors of one model are compared with the prior: its rate, its active and collapsed
    dimensions, and the parts of its rate with the total correlation of its aggregated posterior.

    Args:
        a: the posteriors of the first model: a Gaussian with one batch dimension (one row for each input), as
            :func:`encode` returns it; what :func:`as_gaussian` takes, such as a ``torch.distributions``
            Independent(Normal), an output of diffusers or pythae, or a list with a Gaussian for each input;
            ``(mean, scale)``, two tensors, NumPy or dask arrays of shape ``(N, d)`` or ``(N, C, H, W)``; a dataframe
            with the columns of a file, of pandas, Polars, PyArrow or dask; a mapping of the names of columns to arrays,
            ``{"mu": mu, "logvar": logvar}``, such as what ``np.load`` returns; or the path of a file that contains one
            model, of a folder, a pattern such as ``"run/*.parquet"``, or two files of one array each with a comma
            between, ``"a_mu.npy,a_logvar.npy"``.
        b: the posteriors of the second model, of the same shape, or None for one model. Two files, dataframes or
            mappings are joined by their ids if both have some. The index of pandas or dask is ids unless there is a
            column of them, or every index is the default one.
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
        on_bad: what to do about a row with a value that is not possible, or with an id that only one of two models
            has: ``"raise"`` an error that says where it is, or ``"skip"`` it, which the result counts and lists.
        engine: what computes, such as ``kullback.engines.dask.Dask("tcp://host:8786")``; without one, threads of this
            process. The caller closes it.
        progress: called now and then with the number of steps done and the number of all steps: one for each row, as
            many again if there are alignments, and for the aggregated posteriors.

    Returns:
        A :class:`Comparison`; of one model a :class:`~kullback.comparison.OneModel`, which has its methods
            and the numbers of model A.

    Raises:
        ShapeError: if a or b is not a batch of one Gaussian for each input, their shapes differ, or ``images`` is no
            array of one image for each input.
        TypeError: if a or b is nothing that can be read as Gaussians, or ``engine`` is none.
        ValueError: if a value is not possible, ``scale`` is not given for two arrays, there is not one name for each
            model, or a kind of alignment is not known.
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
    skip = skips(on_bad)
    first, *second = read_models({"a": a} if b is None else {"a": a, "b": b}, scale, skip=skip)
    if images is not None:
        images = of_array(checked_images(images, len(first)))
    options: dict[str, Any] = {
        "prior": prior, "aggregate": aggregate, "thresholds": thresholds, "names": names, "top": top,
        "progress": progress, "images": images, "engine": engine,
    }  # fmt: skip
    if b is None:
        return describe_rows(single(first, skip=skip), **options)
    return compare_rows(paired(first, *second, skip=skip), align=align, **options)


def skips(on_bad: OnBad) -> bool:
    """Whether rows with values that are not possible are left out.

    Raises:
        ValueError: if ``on_bad`` is not known.
    """
    if on_bad not in get_args(OnBad):
        raise ValueError(f"on_bad is one of {', '.join(map(repr, get_args(OnBad)))}, got {on_bad!r}.")
    return on_bad == "skip"


def compare_rows(
    rows: ModelRows,
    *,
    align: Sequence[Kind] = ALIGNMENTS,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    **options: Any,
) -> Comparison:
    """:func:`compare` for rows of two models that have been joined and checked."""
    if align is None or isinstance(align, str) or not set(align) <= set(KINDS):
        raise ValueError(f"align takes kinds of alignment, some of {', '.join(KINDS)}, as a tuple, got {align!r}.")

    def aligned(summary: Summary, leave: Leave) -> Coordinates | str:
        return coordinates(summary, align, thresholds, leave)

    return _result(Comparison, rows, aligned, len(align), thresholds=thresholds, **options)


def describe_rows(rows: ModelRows, **options: Any) -> OneModel:
    """:func:`compare` for rows of one model that have been checked."""
    return _result(OneModel, rows, lambda summary, leave: ALONE, 0, **options)


def _result(
    kind: type[R],
    rows: ModelRows,
    align: Callable[[Summary, Leave], Coordinates | str],
    alignments: int,
    *,
    prior: Any = None,
    aggregate: bool = True,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    names: Sequence[str] | None = None,
    images: Images | None = None,
    top: int = 10,
    engine: Engine | None = None,
    state: State | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> R:
    """What is found out about models; ``align`` finds their alignments, of so many kinds."""
    event = rows.event_shape
    reference = _reference(prior, event)
    called = _called(names, len(rows.models))
    if not isinstance(top, int) or top < 1:
        raise ValueError(f"top is how many inputs are listed, 1 or more, got {top!r}.")
    report = Progress(len(rows) * (1 + bool(alignments) + aggregate), progress)
    if engine is not None and not all(hasattr(engine, name) for name in ("map", "processes")):
        raise TypeError(
            f"engine is an object that computes, got {engine!r}. Give kullback.engines.dask.Dask(address), "
            "kullback.engines.local.Local(workers), or None for threads of this process."
        )
    with contextlib.nullcontext(engine) if engine is not None else Local() as running:
        passes = Passes(rows, running, state, report.add)
        summary = passes.summary(reference, top, has_plan=bool(alignments))
        if not summary.count:
            raise ShapeError(f"none of {len(rows):,} rows is left: {summary.skipped.first[0]}")
        aligned = align(summary, passes.leftovers)
    aggregated: Aggregate | str = NOT_ASKED
    if aggregate:
        g = aligned.best.map if isinstance(aligned, Coordinates) else None
        assert summary.reservoir is not None
        _, models = summary.reservoir.first(MAX_AGGREGATED)
        steps = aggregate_steps(len(models))
        aggregated = aggregate_rows(models, reference, g, lambda: report.add(len(rows) / steps))
    report.finish()
    # The standard normal is the only Gaussian with an event that holds no tensors.
    is_standard = prior is None or not reference.tensors()
    return kind(
        summary,
        event,
        called,
        "N(0, I)" if is_standard else "given by the caller",
        reference.detach().to(torch.float64, torch.device("cpu")).variance.broadcast_to(event).flatten(),
        thresholds,
        aligned,
        aggregated,
        _images(rows, images, summary, kind.shown, aligned),
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


def _images(
    rows: ModelRows, given: Images | None, summary: Summary, shown: Sequence[Pair], aligned: Coordinates | str
) -> dict[Any, Image]:
    """The images of the inputs that a report lists: those that were given, or else those of a model."""
    listed = [summary.divergences[pair].largest for pair in shown]
    listed += [aligned.largest] if isinstance(aligned, Coordinates) else []
    ids = {number: id_ for largest in listed for number, id_ in zip(largest.numbers, largest.ids, strict=True)}
    numbers = list(ids)
    found = rows.images(numbers) if given is None else given(numbers, list(ids.values()))
    images = {ids[number]: as_image(x) for number, x in zip(numbers, found, strict=False)}
    return {id_: image for id_, image in images.items() if image is not None}
