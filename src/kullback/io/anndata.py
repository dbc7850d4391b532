"""The layout of AnnData in HDF5 and Zarr: latents are in ``obsm``, and the names of observations in ``obs``."""

from collections.abc import Callable, Mapping
from typing import Any


def array_names(arrays: list[str], attributes: Callable[[str], Mapping[str, Any]]) -> dict[str, str]:
    """The names of columns, and the paths of the arrays which they are.

    Of AnnData, they are those of ``obsm``, and the names of observations as ``id``; else all arrays, by their paths.

    Args:
        arrays: the paths of all arrays.
        attributes: gives the attributes of the group or array at a path.
    """
    if _text(attributes("/").get("encoding-type")) != "anndata":
        return {path: path for path in arrays}
    columns = {path.removeprefix("obsm/"): path for path in arrays if path.startswith("obsm/") and path.count("/") == 1}
    index = f"obs/{_text(attributes('obs').get('_index'))}"
    # Text that may be missing is a group of values and of a mask.
    found = next((path for path in (index, f"{index}/values") if path in arrays), None)
    return columns if found is None else columns | {"id": found}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
