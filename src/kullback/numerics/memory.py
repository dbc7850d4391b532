"""Memory for large results, and whether there is enough of it.

Fresh memory is handed out in pages of 4 KiB, each of which costs an interruption when it is first written: for results
of 32 MiB and more, which are never kept for reuse, that takes longer than the arithmetic. Huge pages take 512 times
fewer.
"""

import errno
import math
import mmap
import re
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
        raise NoRoom(f"{what} needs about {size / 1e9:,.0f} GB of memory, and {free / 1e9:.1f} GB are available.")


class NoRoom(MemoryError):
    """Memory that was not asked for, because there is less; the message names what needs it, and how much."""


def exhausted(error: BaseException) -> str | None:
    """What to say of an error that means that memory ran out, of whichever library; None for another error.

    torch raises a RuntimeError, Python's mmap an OSError, and NumPy and Arrow a MemoryError.
    """
    text = str(error).strip().split("\n")[0]
    if isinstance(error, NoRoom):
        return text
    is_of_torch = isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
    if not (is_of_torch or isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM):
        return None
    asked = re.search(r"allocate (\d+) bytes|of size (\d+)", text)
    size = f"{int(asked[1] or asked[2]) / 1e9:,.1f} GB were asked for" if asked else text
    free = _available()
    known = [size] * bool(size) + ([] if free is None else [f"{free / 1e9:.1f} GB are available"])
    return f"memory ran out{': ' * bool(known)}{', and '.join(known)}."


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
