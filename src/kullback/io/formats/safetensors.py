"""``.safetensors``: a header that says where each tensor lies, and their numbers."""

import json
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.slices import Layout, RawRows
from kullback.io.text import printable

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns
    from kullback.io.places import Place

SUFFIXES, IS_TABLE = (".safetensors",), False

# The dtypes of the format that torch has, by their names there.
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
# The format allows no larger header.
_MAX_HEADER = 100_000_000


def read(path: "Place") -> "Columns":
    """The tensors of the file."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise ValueError("it has no header")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    return {name: _Tensor(path, name, entry, 8 + length, size) for name, entry in header.items()}


class _Tensor(RawRows):
    """A tensor of the file."""

    def __init__(self, path: "Place", name: str, entry: dict[str, Any], base: int, size: int) -> None:
        super().__init__(path)
        self.name, self._dtype, self._shape = name, str(entry["dtype"]), tuple(map(int, entry["shape"]))
        start, end = map(int, entry["data_offsets"])
        self._offset, self._size = base + start, end - start
        if not base <= base + start <= base + end <= size or min(self._shape, default=0) < 0:
            raise EOFError(f"tensor {printable(name)!r} lies outside of it")

    @property
    def layout(self) -> Layout:
        """Where the numbers are."""
        import torch

        if self._dtype not in _DTYPES:
            kind = printable(self._dtype)
            raise PosteriorFileError(f"column {printable(self.name)!r} holds {kind}, which torch lacks.")
        layout = Layout(self._offset, getattr(torch, _DTYPES[self._dtype]), self._shape)
        if layout.size != self._size:
            raise ValueError(f"tensor {printable(self.name)!r} has {self._size} bytes for the shape {self._shape}")
        return layout
