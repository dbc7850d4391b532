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


def empty(shapes: Sequence[Sequence[int]], dtype: torch.dtype, wanted: Sequence[bool]) -> list[Tensor | None]:
    """Tensors of undefined values on the CPU, one for each shape that is wanted."""
    return [_empty(shape, dtype) if want else None for shape, want in zip(shapes, wanted, strict=True)]


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    size = math.prod(shape) * dtype.itemsize
    if size < _LARGE or sys.platform != "linux":
        return torch.empty(shape, dtype=dtype)
    return _mapped(size, dtype).view(tuple(shape))


def _mapped(size: int, dtype: torch.dtype) -> Tensor:
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype)
