"""Images of inputs as the addresses that an HTML page shows them by."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import matplotlib.image
import numpy as np

from kullback.comparison.images import Image

_TYPES = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


def addresses(images: Mapping[Any, Image]) -> dict[Any, str]:
    """A ``data:`` address for each image. Numbers share one scale: from 0, or the least, to the greatest."""
    arrays = [x for x in images.values() if not isinstance(x, bytes)]
    low = min([0.0, *(float(x.min()) for x in arrays)])
    high = max([low, *(float(x.max()) for x in arrays)])
    return {key: _address(image, low, high) for key, image in images.items()}


def _address(image: Image, low: float, high: float) -> str:
    if isinstance(image, bytes):
        kind = next(kind for signature, kind in _TYPES.items() if image.startswith(signature))
        return _data(kind, image)
    unit = np.clip((image - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    buffer = io.BytesIO()
    # A scale of its own would hide that an image is darker than others; metadata would name the version of a library.
    metadata: Any = {"Software": None}
    matplotlib.image.imsave(buffer, unit, cmap="gray", vmin=0, vmax=1, format="png", metadata=metadata)
    return _data("png", buffer.getvalue())


def _data(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
