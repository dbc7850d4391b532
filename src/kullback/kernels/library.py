"""The C library of ``native/``, through ctypes: found or absent, never an error.

ctypes releases the interpreter's lock, so large calls are split over rows among as many threads as torch uses.
"""

import ctypes
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from kullback.kernels.buffers import wanted_of
from kullback.kernels.layout import Kind, Layout

FILE = Path(__file__).parent / "native" / "libkullback.so"

# What this module packs; the library has the same number, or was built from other sources.
INTERFACE = 4

# From this many elements on, threads are worth their start.
_PARALLEL = 2**18

# What is served, and its number within its family; full Gaussians of so many coordinates. Beyond, one pair is work for
# several cores, which the linear algebra of torch uses.
_DIAGONAL = {"std": 0, "variance": 1, "logvar": 2}
_FULL = {"covariance": 0, "scale_tril": 1}
_LARGEST = 512

_DTYPES = {torch.float32: 0, torch.float64: 1}
_DIAGONAL_CALL = struct.Struct("=24q")
_FULL_CALL = struct.Struct("=21q")
_NOT_WANTED = (0, 0, 0, 0)


def _load() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(str(FILE))
        library.kullback_interface.restype = ctypes.c_int64
        if library.kullback_interface() != INTERFACE:
            return None
    except (OSError, AttributeError):
        return None
    library.kullback_instructions.restype = ctypes.c_char_p
    library.kullback_allow.argtypes = [ctypes.c_int64]
    library.kullback_allow.restype = None
    library.kullback_full_workspace.argtypes = [ctypes.c_int64]
    library.kullback_full_workspace.restype = ctypes.c_int64
    for entry in (library.kullback_diagonal, library.kullback_full):
        entry.argtypes = [ctypes.c_char_p]
        entry.restype = None
    return library


_LIBRARY = _load()


def absent() -> str | None:
    """Why there is no library; None if there is one."""
    if _LIBRARY is not None:
        return None
    return f"{FILE.name} is of another version: install again" if FILE.exists() else "no C library was built"


def declines(kind: Kind, scale: Tensor) -> str | None:
    """What is served instead, of pairs that are not; None for those that are."""
    if kind in _DIAGONAL or scale.shape[-1] <= _LARGEST:
        return None
    return f"full Gaussians of at most {_LARGEST} coordinates"


def instructions() -> str:
    """The instruction set in use."""
    return "none" if _LIBRARY is None else _LIBRARY.kullback_instructions().decode()


def allow(most: int) -> None:
    """Use no more than the baseline (0), AVX2 (1), or everything (2) that this machine has."""
    assert _LIBRARY is not None
    _LIBRARY.kullback_allow(most)


def value(operands: Sequence[Tensor], layout: Layout) -> Tensor:
    """The divergence of each row."""
    out = torch.empty(layout.batch, dtype=operands[0].dtype)
    _call(operands, layout, out.data_ptr(), 0, 0, _NOT_WANTED)
    return out


def gradients(
    operands: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    """The derivatives of the weighted sum of the rows' divergences with respect to each operand, of full shape."""
    return _differentiated(operands, layout, 0, weight, wanted)


def value_and_gradients(
    operands: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor, list[Tensor | None]]:
    """Both in one pass over the operands."""
    out = torch.empty(layout.batch, dtype=operands[0].dtype)
    return out, _differentiated(operands, layout, out.data_ptr(), weight, wanted)


def _differentiated(
    operands: Sequence[Tensor], layout: Layout, out: int, weight: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    found, row = wanted_of(layout.shapes, operands[0].dtype, wanted), _row_stride(weight)
    if row is None:
        weight, row = weight.contiguous(), 1
    pointers = tuple([0 if x is None else x.data_ptr() for x in found])
    _call(operands, layout, out, weight.data_ptr(), row, pointers)
    return found


def _row_stride(weight: Tensor) -> int | None:
    """The step from one row's weight to the next; None if there is no one step."""
    if weight.ndim == 0:
        return 0
    if weight.ndim == 1:
        return weight.stride(0)
    return 0 if not any(weight.stride()) else (1 if weight.is_contiguous() else None)


def _call(
    operands: Sequence[Tensor], layout: Layout, out: int, weight: int, weight_row: int, found: tuple[int, ...]
) -> None:
    assert _LIBRARY is not None
    a, b, c, d = operands
    rows, n, dtype = layout.rows, layout.n, _DTYPES[a.dtype]
    data = (a.data_ptr(), b.data_ptr(), c.data_ptr(), d.data_ptr(), *layout.row)
    results = (out, weight, weight_row, *found)
    number = _DIAGONAL.get(layout.kind)
    size = n if number is not None else n * n * n
    threads = 1 if rows * size < _PARALLEL else min(torch.get_num_threads(), rows)
    own: list[tuple[int, ...]] = [()] * threads
    if number is not None:
        entry, pack, fixed = _LIBRARY.kullback_diagonal, _DIAGONAL_CALL.pack, (*data, *layout.column, *results)
    else:
        number, entry, pack, fixed = _FULL[layout.kind], _LIBRARY.kullback_full, _FULL_CALL.pack, (*data, *results)
        needed = _LIBRARY.kullback_full_workspace(n)
        memory = torch.empty(threads * needed, dtype=torch.uint8)
        own = [(memory.data_ptr() + i * needed,) for i in range(threads)]
    if threads == 1:
        entry(pack(dtype, number, 0, rows, n, *fixed, *own[0]))
        return
    edges = [rows * i // threads for i in range(threads + 1)]
    calls = [pack(dtype, number, *edges[i : i + 2], n, *fixed, *own[i]) for i in range(threads)]
    waiting = [_threads().submit(entry, call) for call in calls[1:]]
    entry(calls[0])
    for one in waiting:
        one.result()


_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="kullback")
    return _pool


def _forget_threads() -> None:
    """A forked child has the pool's memory, and none of its threads."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
