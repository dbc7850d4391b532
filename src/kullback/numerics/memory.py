"""Memory for large results.

Fresh memory is handed out in pages of 4 KiB, each of which costs an interruption when it is first written: for results
of 32 MiB and more, which are never kept for reuse, that takes longer than the arithmetic. Huge pages take 512 times
fewer.
"""

import math
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

_LARGE = 32 * 2**20


def empty(shape: Sequence[int], dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
    """A tensor of undefined values."""
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE or sys.platform != "linux" or (device is not None and device.type != "cpu"):
        return torch.empty(shape, dtype=dtype, device=device)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(tuple(shape))


def empty_like(x: Tensor) -> Tensor:
    """A tensor of undefined values for each number of a contiguous one."""
    return torch.empty_like(x) if x.nbytes < _LARGE else empty(x.shape, x.dtype, x.device)
