"""The rows of models side by side: read from files or memory, checked to be comparable, and joined."""

import os
from typing import Any

from kullback.comparison.objects import as_posteriors, check_scale
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.model import Posteriors, joined
from kullback.io.posteriors import read_posteriors


def rows_of(x: Any, name: str, scale: Parameterization | None) -> Posteriors:
    """The posteriors of a model, one row for each input.

    Args:
        x: the path of a file, or what :func:`as_posteriors` takes.
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
        return read_posteriors(x, scale=scale)
    gaussian = as_posteriors(x, name, scale)
    if len(gaussian.batch_shape) != 1 or not gaussian.event_dims:
        raise ShapeError(
            f"{name} has batch shape {tuple(gaussian.batch_shape)} and event shape {tuple(gaussian.event_shape)}; "
            "compare needs one Gaussian for each input: means of shape (N, d), or (N, C, H, W) with event_dims=3, "
            "or Independent(Normal(mean, std), 1). The prior is no second model: every model is compared with it in "
            "any case; for one by itself, compare(a)."
        )
    return Posteriors(name, name, gaussian)


def alone(a: Posteriors) -> tuple[list[Any], Posteriors]:
    """The ids of the rows of a single model, or row numbers, and the model.

    Raises:
        ShapeError: if there are no rows, or no dimensions.
    """
    _check_not_empty(a.gaussian, f"{a.source} has")
    return a.ids or list(range(len(a))), a


def paired(a: Posteriors, b: Posteriors) -> tuple[list[Any], Posteriors, Posteriors]:
    """The ids of the rows of a and b, and both with their rows in this order.

    Two files are joined by their ids if both have some. Everything else is joined by order; then the ids are those of
    either, or row numbers.

    Raises:
        ShapeError: if their shapes differ, or there is nothing to compare.
        PosteriorFileError: if two files differ in their ids.
    """
    by_ids = a.ids is not None and b.ids is not None
    p, q = a.gaussian, b.gaussian
    if p.event_shape != q.event_shape or (len(p) != len(q) and not by_ids):
        raise ShapeError(
            f"{a.source} has {_shape(p)}, {b.source} has {_shape(q)}. Give the posteriors of both models for the same "
            f"inputs{'' if by_ids else '; to join files by identity, both need a column id'}."
        )
    _check_not_empty(p, f"{a.source} and {b.source} have")
    return joined(a, b)


def _check_not_empty(g: Gaussian, opening: str) -> None:
    if not len(g) or not g.event_size:
        raise ShapeError(f"{opening} {_shape(g)}: there is nothing to compare.")


def _shape(g: Gaussian) -> str:
    return f"{len(g):,} rows of event shape {tuple(g.event_shape)}"
