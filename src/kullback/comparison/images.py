"""The images of some inputs, from the column of a file or an array, in one form: an encoded file, or an array."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from kullback.errors import ShapeError

Image = bytes | np.ndarray[Any, Any]
"""A PNG, JPEG, GIF or WebP file; or an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``."""

Images = Callable[[Sequence[int], Sequence[Any]], Sequence[Any]]
"""Gives the images of inputs, by the numbers of their rows and their ids; none if there are none."""

_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF")
_CHANNELS = (1, 3, 4)


def as_image(x: Any) -> Image | None:
    """An image in one form; None if ``x`` is none.

    Args:
        x: an encoded file, or a dictionary that has it as ``"bytes"`` (as Hugging Face stores images); or numbers of
            shape ``(H, W)``, ``(H, W, C)``, ``(C, H, W)`` with 1, 3 or 4 channels, or the same flattened where height
            and width are equal.
    """
    if isinstance(x, dict):
        x = x.get("bytes")
    if isinstance(x, bytes):
        return x if x.startswith(_SIGNATURES) else None
    if isinstance(x, torch.Tensor):
        x = x.detach().to(device="cpu", dtype=torch.float64).numpy()
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        return None
    return _with_channels_last(np.nan_to_num(x.astype(np.float64), posinf=0.0, neginf=0.0))


def checked_images(images: Any, rows: int) -> Any:
    """An array of one image for each row.

    Raises:
        ShapeError: if it is anything else.
    """
    if not isinstance(images, torch.Tensor):
        images = np.asarray(images)
    shape = tuple(images.shape)
    if not shape or shape[0] != rows or as_image(images[0]) is None:
        raise ShapeError(
            f"images has shape {shape}; expected one image for each of {rows:,} rows: (N, H, W), (N, H, W, C) or "
            "(N, C, H, W), with 1, 3 or 4 channels."
        )
    return images


def of_array(images: Any) -> Images:
    """The images of an array that has one for each row."""
    return lambda numbers, ids: [images[row] for row in numbers]


def _with_channels_last(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    if x.ndim == 1:
        squares = ((c, side, side) for c in _CHANNELS if (side := math.isqrt(x.size // c)) > 1)
        shape = next((shape for shape in squares if math.prod(shape) == x.size), None)
        return None if shape is None else _with_channels_last(x.reshape(shape))
    if x.ndim == 3 and x.shape[2] not in _CHANNELS and x.shape[0] in _CHANNELS:
        x = np.moveaxis(x, 0, 2)
    if x.ndim == 3 and x.shape[2] == 1:
        x = x[:, :, 0]
    is_image = x.size > 0 and (x.ndim == 2 or (x.ndim == 3 and x.shape[2] in _CHANNELS))
    return x if is_image else None
