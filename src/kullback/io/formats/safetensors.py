"""``.safetensors``."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from torch import Tensor

    from kullback.io.formats.registry import Column, Columns

SUFFIXES, HOLDS, IS_TABLE = (".safetensors",), "posteriors", False


def read(path: Path) -> "Columns":
    """The tensors of the file."""
    from safetensors import safe_open

    def tensor(name: str) -> "Column":
        with safe_open(path, framework="pt") as file:
            return cast("Tensor", file.get_tensor(name))

    with safe_open(path, framework="pt") as file:
        return {name: functools.partial(tensor, name) for name in file.keys()}
