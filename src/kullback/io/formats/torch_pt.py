"""Files of ``torch.save``, ``.pt`` and ``.pth``, loaded with ``weights_only=True``, which executes no pickled code."""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.arrow import one_of_each
from kullback.io.formats.registry import Unnamed
from kullback.io.slices import Sliced
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place
    from kullback.io.stored import Column

SUFFIXES, IS_TABLE = (".pt", ".pth"), False


def read(path: "Place") -> "Columns":
    """The entries of a dict of tensors, or of a dict of such dicts; the tensors of a tuple or a list, which have no
    names; or a single tensor, as one column.
    """
    loaded = _load(path)
    columns = {name: _Entry(path, name) for name in _entries(loaded)}
    return dict(columns) if isinstance(loaded, dict) else Unnamed(columns)


class _Entry(Sliced):
    """A tensor of the file, which is mapped into memory where torch can do that."""

    def __init__(self, path: "Place", name: str) -> None:
        self.path, self.name = path, name

    @functools.cached_property
    def is_sliced(self) -> bool:
        """Whether the file can be mapped."""
        return _is_mapped(self.path)

    @contextlib.contextmanager
    def opened(self) -> "Iterator[Any]":
        """The tensor, mapped or in memory."""
        yield _plain(self.name, _entries(_load(self.path))[self.name])

    def taken(self, rows: Any) -> "Column":
        """A copy, which a change of the file does not change."""
        from torch import Tensor

        return rows.clone() if isinstance(rows, Tensor) else super().taken(rows)

    def __call__(self) -> "Column":
        """The whole tensor."""
        with self.opened() as rows:
            return self.taken(rows[...])


def _is_mapped(path: "Place") -> bool:
    import zipfile

    return isinstance(path, Path) and zipfile.is_zipfile(path)


def _load(path: "Place") -> Any:
    import pickle

    import torch

    try:
        with warnings.catch_warnings():
            # torch warns of some pickles before it refuses them.
            warnings.simplefilter("ignore")
            if isinstance(path, Path):
                return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_mapped(path))
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise PosteriorFileError(
            "holds more than tensors, or is damaged; it is loaded with weights_only=True. Save a dict of tensors: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        ) from None


def _entries(loaded: Any) -> dict[str, Any]:
    from torch import Tensor

    if isinstance(loaded, Tensor):
        return {"tensor": loaded}
    if isinstance(loaded, (tuple, list)) and loaded and all(isinstance(x, Tensor) for x in loaded):
        return {str(i): x for i, x in enumerate(loaded)}
    if not isinstance(loaded, dict):
        raise PosteriorFileError(
            f"holds a {type(loaded).__name__}, expected a dict of tensors, or a tuple of them: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        )
    table: dict[str, Any] = {}
    for key, value in loaded.items():
        # Two models are often saved as one dict for each.
        named = {f"{key}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {str(key): value}
        one_of_each([*table, *named])
        table |= named
    return {name: x for name, x in table.items() if isinstance(x, (Tensor, list))}


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
