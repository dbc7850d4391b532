"""Memory for large results, and whether there is enough of it.

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


def check_room(size: int, what: str) -> None:
    """Raise a MemoryError if so many bytes are more than this machine has to give, where that can be known.

    A system that promises memory which it has not ends a process without a word.
    """
    free = _available()
    if free is not None and size > free:
        raise MemoryError(f"{what} needs about {size / 1e9:.0f} GB of memory, and {free / 1e9:.1f} GB are available.")


def _available() -> int | None:
    """The bytes that Linux says a new process could take without swapping; None elsewhere."""
    return _of_linux("MemAvailable")


def installed() -> int:
    """The bytes of memory that this machine has; 8 GB where that is not known."""
    return _of_linux("MemTotal") or 8 * 10**9


def _of_linux(name: str) -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    except (OSError, StopIteration):
        return None
