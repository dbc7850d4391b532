"""Posteriors in memory as Gaussians: a Gaussian, an object of another library, or a mean and a scale."""

from typing import Any

import numpy as np

from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Parameterization
from kullback.interop.calls import shape_of
from kullback.interop.registry import as_gaussian
from kullback.io.columns import SCALES
from kullback.numerics.foreign_arrays import is_array

_CHOICES = f"scale={', '.join(map(repr, SCALES[:-1]))} or {SCALES[-1]!r}"


def check_scale(scale: Any) -> None:
    """Raise a ValueError unless ``scale`` is the name of a diagonal parameterization, or None."""
    if scale is not None and scale not in SCALES:
        raise ValueError(f"scale says what the second of two arrays is: {_CHOICES}, got {scale!r}.")


def unstated(name: str) -> str:
    """What an error says of two arrays of which it is not known what the second one is."""
    return f"{name} is two arrays, a mean and a scale. State what the second one is: {_CHOICES}."


def as_posteriors(x: Any, name: str, scale: Parameterization | None) -> Gaussian:
    """``x`` as a batch of Gaussians.

    Args:
        x: what :func:`as_gaussian` takes, but no tuple of Gaussians, which may be a posterior and a prior; or a mean
            and a scale as a tuple or a list, each a tensor or a NumPy array of shape ``(N, *event)``.
        name: what an error calls it.
        scale: what the second of two arrays is.

    Raises:
        ShapeError: if the mean does not have the shape ``(N, *event)``, the scale does not fit it, or a list holds
            batches of Gaussians.
        TypeError: if it is a tuple of other things, or nothing that :func:`as_gaussian` takes.
        ValueError: if ``scale`` is not given for two arrays, or a scale is not positive and finite.
    """
    if not isinstance(x, (tuple, list)):
        return as_gaussian(x, name)
    if isinstance(x, list) and shape_of(x) is None and not any(map(is_array, x)):
        listed = as_gaussian(x, name)
        if len(listed.batch_shape) != 1:
            raise ShapeError(f"{name} is a list of batches of Gaussians; expected one Gaussian for each input in it.")
        return listed
    if len(x) != 2 or not all(map(is_array, x)):
        held = ", ".join(type(part).__name__ for part in x)
        raise TypeError(
            f"{name} is a {type(x).__name__} of {len(x)} ({held}); expected two tensors or arrays, (mean, scale), with "
            "one row for each input. A Gaussian or a distribution is taken by itself, not in a tuple."
        )
    if scale is None:
        raise ValueError(unstated(name))
    mean, value = x
    event_dims = np.ndim(mean) - 1
    if event_dims < 1:
        raise ShapeError(
            f"{name} has a mean of shape {tuple(np.shape(mean))}; expected (N, d) or (N, C, H, W), one row for each "
            "input. For latents of one dimension: mean[:, None] and scale[:, None]."
        )
    make = getattr(Gaussian, f"from_{scale}")
    try:
        gaussian: Gaussian = make(mean, value, event_dims=event_dims, validate=True)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    return gaussian
