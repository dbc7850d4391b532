"""Files of ``torch.save``, ``.pt`` and ``.pth``, loaded with ``weights_only=True``, which executes no pickled code."""

import functools
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kullback.errors import PosteriorFileError
from kullback.io.formats.registry import Unnamed

if TYPE_CHECKING:
    from kullback.io.formats.registry import Columns

SUFFIXES, HOLDS, IS_TABLE = (".pt", ".pth"), "posteriors", False


def read(path: Path) -> "Columns":
    """The entries of a dict of tensors, or of a dict of such dicts; the tensors of a tuple or a list, which have no
    names; or a single tensor, as one column.
    """
    import pickle

    import numpy as np
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
        return {"tensor": loaded.detach}
    if isinstance(loaded, (tuple, list)) and loaded and all(isinstance(x, Tensor) for x in loaded):
        return Unnamed.of([x.detach for x in loaded])
    if not isinstance(loaded, dict):
        raise PosteriorFileError(
            f"holds a {type(loaded).__name__}, expected a dict of tensors, or a tuple of them: "
            "torch.save({'mu': mu, 'logvar': logvar}, path)."
        )
    table: dict[str, Any] = {}
    for key, value in loaded.items():
        # Two models are often saved as one dict for each.
        table |= {f"{key}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {str(key): value}
    return {
        name: functools.partial(lambda x: x.detach() if isinstance(x, Tensor) else np.asarray(x), x)
        for name, x in table.items()
        if isinstance(x, (Tensor, list))
    }
