"""The rows of models side by side: read from files or memory, checked to be comparable, and joined."""

import os
from pathlib import Path
from typing import Any

from kullback.comparison.objects import as_posteriors, check_scale, unstated
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.columns import Named
from kullback.io.frames import array_column, frame_columns
from kullback.io.joining import alone, joined
from kullback.io.model import Model, Posteriors
from kullback.io.posteriors import models_of, open_posteriors
from kullback.io.rows import ModelRows


def rows_of(x: Any, name: str, scale: Parameterization | None) -> Model:
    """The posteriors of a model, one row for each input.

    Args:
        x: the path of a file, a folder or a pattern; a dataframe with the columns of a file; a mean and a scale as dask
            arrays; or what :func:`as_posteriors` takes.
        name: what an error calls it.
        scale: what the second of two arrays is, and a column of a file whose name does not say it.

    Raises:
        ShapeError: if it is not a batch of one Gaussian for each input.
        TypeError: if it is nothing that can be read as Gaussians.
        ValueError: if ``scale`` is not known, or not given for two arrays.
        PosteriorFileError: if a file does not contain posteriors.
    """
    check_scale(scale)
    if isinstance(x, (str, os.PathLike)):
        return open_posteriors(x).model(scale=scale)
    stored = _stored(x, name, scale)
    if stored is not None:
        return stored
    gaussian = as_posteriors(x, name, scale)
    if len(gaussian.batch_shape) != 1 or not gaussian.event_dims:
        raise ShapeError(
            f"{name} has batch shape {tuple(gaussian.batch_shape)} and event shape {tuple(gaussian.event_shape)}; "
            "compare needs one Gaussian for each input: means of shape (N, d), or (N, C, H, W) with event_dims=3, "
            "or Independent(Normal(mean, std), 1). The prior is no second model: every model is compared with it in "
            "any case; for one by itself, compare(a)."
        )
    return Posteriors(name, name, gaussian)


def _stored(x: Any, name: str, scale: Parameterization | None) -> Model | None:
    """The model of a dataframe, or of a mean and a scale as dask arrays; None for anything else."""
    if isinstance(x, Gaussian):
        return None
    if not isinstance(x, tuple):
        columns = frame_columns(x)
        return None if columns is None else models_of(Path(name), columns).model(scale=scale)
    parts = {part: array_column(of) for part, of in zip(("mean", "scale"), x, strict=False)}
    if len(x) != 2 or None in parts.values():
        return None
    if scale is None:
        raise ValueError(unstated(name))
    found = {part: column for part, column in parts.items() if column is not None}
    return models_of(Path(name), found, [Named("mean", "scale", scale)]).model()


def single(a: Model, *, skip: bool = False) -> ModelRows:
    """The rows of a single model.

    Raises:
        ShapeError: if there are no rows, or no dimensions.
        PosteriorFileError: if two rows have the same id.
    """
    _check_not_empty(a, f"{a.source} has")
    return alone(a, skip=skip)


def paired(a: Model, b: Model, *, skip: bool = False) -> ModelRows:
    """The rows of a and b side by side.

    Two files are joined by their ids if both have some. Everything else is joined by order; then the ids are those of
    either, or row numbers.

    Raises:
        ShapeError: if their shapes differ, or there is nothing to compare.
        PosteriorFileError: if two files differ in their ids.
    """
    by_ids = a.has_ids and b.has_ids
    if a.event_shape != b.event_shape or (len(a) != len(b) and not by_ids):
        raise ShapeError(
            f"{a.source} has {_shape(a)}, {b.source} has {_shape(b)}. Give the posteriors of both models for the same "
            f"inputs{'' if by_ids else '; to join files by identity, both need a column id'}."
        )
    _check_not_empty(a, f"{a.source} and {b.source} have")
    return joined(a, b, skip=skip)


def _check_not_empty(model: Model, opening: str) -> None:
    if not len(model) or not model.event_shape.numel():
        raise ShapeError(f"{opening} {_shape(model)}: there is nothing to compare.")


def _shape(model: Model) -> str:
    return f"{len(model):,} rows of event shape {tuple(model.event_shape)}"
