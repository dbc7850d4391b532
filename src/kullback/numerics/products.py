"""Products of many vectors with many others, as fast as this machine allows."""

import platform

import torch
from torch import Tensor

# oneDNN asks the processor what it can do. The library that torch.mm calls asks for its maker too, and leaves half of
# the width of the registers of some makers unused.
_BY_ONEDNN = (
    platform.machine().lower() in ("x86_64", "amd64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


def inner_products(a: Tensor, b: Tensor) -> Tensor:
    """The inner products ``(n, m)`` of vectors ``(n, d)`` with vectors ``(m, d)``, without gradients."""
    if _BY_ONEDNN and a.is_cpu and a.dtype == torch.float32 and len(a) and len(b):
        product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return product
    return a @ b.mT
