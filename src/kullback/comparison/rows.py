"""The rows of two models side by side: read from files, joined, and checked to be comparable."""

import os
from typing import Any

from kullback.comparison.objects import as_posteriors, check_scale
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.io.posteriors import read_pair, read_posteriors


def paired_rows(a: Any, b: Any, scale: Parameterization | None = None) -> tuple[list[Any], Gaussian, Gaussian]:
    """The ids of the rows, and the Gaussians of the first and of the second model.

    Two files are joined by their ids if both have some. Everything else is joined by order, and row numbers are the
    ids.

    Args:
        a: the posteriors of the first model, or the path of their file.
        b: those of the second model.
        scale: what the second of two arrays is, and a column of a file whose name does not say it.

    Raises:
        ShapeError: if a or b is not a batch of one Gaussian for each input, or their shapes differ.
        TypeError: if a or b is nothing that can be read as Gaussians.
        ValueError: if ``scale`` is not known, or not given for two arrays.
        PosteriorFileError: if a file does not contain posteriors.
    """
    check_scale(scale)
    if isinstance(a, (str, os.PathLike)) and isinstance(b, (str, os.PathLike)):
        ids, first, second = read_pair(a, b, scale=scale)
        return ids, first.gaussian, second.gaussian
    p, q = _batch(a, "a", scale), _batch(b, "b", scale)
    if p.batch_shape != q.batch_shape or p.event_shape != q.event_shape:
        raise ShapeError(
            f"a has {len(p)} rows of event shape {tuple(p.event_shape)}, b has {len(q)} rows of event shape "
            f"{tuple(q.event_shape)}. Give the posteriors of both models for the same inputs."
        )
    if not len(p) or not p.event_size:
        raise ShapeError(f"a and b have {len(p)} rows of {p.event_size} dimensions: there is nothing to compare.")
    return list(range(len(p))), p, q


def _batch(x: Any, name: str, scale: Parameterization | None) -> Gaussian:
    """``x``, or the posteriors in the file of this path, as a batch of Gaussians."""
    if isinstance(x, (str, os.PathLike)):
        gaussian = read_posteriors(x, scale=scale).gaussian
    else:
        gaussian = as_posteriors(x, name, scale)
    if len(gaussian.batch_shape) != 1 or not gaussian.event_dims:
        raise ShapeError(
            f"{name} has batch shape {tuple(gaussian.batch_shape)} and event shape {tuple(gaussian.event_shape)}; "
            "compare needs one Gaussian for each input: means of shape (N, d), or (N, C, H, W) with event_dims=3, "
            "or Independent(Normal(mean, std), 1). The prior is no second model: both models are compared with it in "
            "any case."
        )
    return gaussian
