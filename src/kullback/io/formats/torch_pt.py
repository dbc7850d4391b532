"""Files of ``torch.save``, ``.pt`` and ``.pth``, loaded with ``weights_only=True``, which executes no pickled code."""

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.formats.registry import Unnamed
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".pt", ".pth"), "posteriors", False


def read(path: Path) -> "Columns":
    """The entries of a dict of tensors, or of a dict of such dicts; the tensors of a tuple or a list, which have no
    names; or a single tensor, as one column.
    """
    import pickle

    import torch
    from torch import Tensor

    try:
        with warnings.catch_warnings():
            # torch warns of some pickles before it refuses them.
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise PosteriorFileError(
            "holds more than tensors, or is damaged; it is loaded with weights_only=True. Save a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        ) from None
    if isinstance(loaded, Tensor):
        return {"tensor": functools.partial(_plain, "tensor", loaded)}
    if isinstance(loaded, (tuple, list)) and loaded and all(isinstance(x, Tensor) for x in loaded):
        return Unnamed.of([functools.partial(_plain, str(i), x) for i, x in enumerate(loaded)])
    if not isinstance(loaded, dict):
        raise PosteriorFileError(
            f"holds a {type(loaded).__name__}, expected a dict of tensors, or a tuple of them: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        )
    table: dict[str, Any] = {}
    for key, value in loaded.items():
        # Two models are often saved as one dict for each.
        named = {f"{key}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {str(key): value}
        if twice := table.keys() & named.keys():
            raise PosteriorFileError(f"has two columns {printable(min(twice))!r}. Rename one.")
        table |= named
    return {name: functools.partial(_plain, name, x) for name, x in table.items() if isinstance(x, (Tensor, list))}


def _plain(name: str, x: Any) -> "Column":
    """A tensor, or a list as an array.

    Raises:
        PosteriorFileError: if the tensor has no numbers that lie in rows.
        MemoryError: if it is an expanded view of a few numbers that are too many for memory.
    """
    import numpy as np
    import torch
    from torch import Tensor

    from kullback.numerics.memory import check_room

    if not isinstance(x, Tensor):
        return np.asarray(x)
    kinds = {
        "nested": x.is_nested,
        "sparse": x.layout is not torch.strided,
        "quantized": x.is_quantized,
        "meta": x.is_meta,
    }
    for kind, is_so in kinds.items():
        if is_so:
            raise PosteriorFileError(
                f"column {printable(name)!r} is a {kind} tensor of {x.dtype}; expected plain real numbers. Save a "
                "dense tensor with one row for each input."
            )
    size = x.numel() * x.element_size()
    if size > x.untyped_storage().nbytes():
        check_room(size, f"column {printable(name)!r}, a view of shape {tuple(x.shape)} of fewer numbers,")
    return x.detach()
