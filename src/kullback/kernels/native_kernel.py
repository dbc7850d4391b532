"""The C library of ``native/``, through ctypes: found or absent, never an error.

ctypes releases the interpreter's lock, so large calls are split over rows among as many threads as torch uses.
"""

import ctypes
import functools
import os
import struct
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.kernels.layout import Layout, gradient_buffers, weight_and_step
from kullback.kernels.protocol import Inputs, Work

FILE = Path(__file__).parent / "native" / ("libkullback.dylib" if sys.platform == "darwin" else "libkullback.so")

# What this module packs; the library has the same number, or was built from other sources.
INTERFACE = 8

# From this many elements on, threads are worth their start.
_PARALLEL = 2**18

# What is served, and its number within its family; full Gaussians of so many coordinates. Beyond, one pair is work for
# several cores, which the linear algebra of torch uses.
DIAGONAL = {"std": 0, "variance": 1, "logvar": 2}
_FULL = {"covariance": 0, "scale_tril": 1}
_LARGEST = 512

DTYPES = {torch.float32: 0, torch.float64: 1}

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")
"""In the order of the library. The environment variable ``KULLBACK_INSTRUCTIONS`` allows one and those before it."""


class _Outputs(NamedTuple):
    """Addresses of what is wanted, 0 for what is not; and the weights that gradients are taken with."""

    value: int = 0
    weight: int = 0
    weight_stride: int = 0
    gradients: tuple[int, ...] = (0, 0, 0, 0)
    terms: tuple[int, int] = (0, 0)


class NativeKernel:
    """The C library as a kernel."""

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why the library cannot do this; None if it can."""
        parameterization = inputs.parameterization
        if not inputs.tensors[0].is_cpu:
            return "tensors on the CPU"
        if work == "kl_sums":
            return "no sums over rows"
        if parameterization in DIAGONAL:
            return None
        if work != "kl":
            return "pairs of diagonals"
        served = parameterization in _FULL and inputs.d <= _LARGEST
        return None if served else f"diagonal and full Gaussians, these of at most {_LARGEST} coordinates"

    def in_one_pass(self, layout: Layout) -> bool:
        """They are: all is read once."""
        return True

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""
        out = torch.empty(layout.batch, dtype=tensors[0].dtype)
        _call(tensors, layout, _Outputs(value=out.data_ptr()))
        return out

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor."""
        return _differentiated(tensors, layout, 0, weight, wanted)

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Both in one pass over the tensors."""
        out = torch.empty(layout.batch, dtype=tensors[0].dtype)
        return out, _differentiated(tensors, layout, out.data_ptr(), weight, wanted)

    def terms(self, tensors: Sequence[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
        """The mean and the covariance term of each coordinate."""
        mean, covariance = gradient_buffers(tensors, layout, (True, False, True, False))[::2]
        assert mean is not None
        assert covariance is not None
        _call(tensors, layout, _Outputs(terms=(mean.data_ptr(), covariance.data_ptr())))
        return mean, covariance


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
    for name in ("diagonal", "full", "lowest", "products", "sums", "moments"):
        entry = getattr(library, f"kullback_{name}")
        entry.argtypes = [ctypes.c_char_p]
        entry.restype = None
    return library


_LIBRARY = _load()


def unavailable_reason() -> str | None:
    """Why there is no library; None if there is one."""
    if _LIBRARY is not None:
        return None
    return f"{FILE.name} is of another version: install again" if FILE.exists() else "no C library was built"


def instructions() -> str:
    """The instruction set in use."""
    return "none" if _LIBRARY is None else _LIBRARY.kullback_instructions().decode()


def allow(most: str) -> None:
    """Use no more than this instruction set of those that this machine has.

    Raises:
        ValueError: if there is no such set.
    """
    if most not in INSTRUCTION_SETS:
        raise ValueError(f"the instruction sets are one of {', '.join(INSTRUCTION_SETS)}, got {most!r}.")
    if _LIBRARY is not None:
        _LIBRARY.kullback_allow(INSTRUCTION_SETS.index(most))


allow(os.environ.get("KULLBACK_INSTRUCTIONS") or INSTRUCTION_SETS[-1])


def _differentiated(
    tensors: Sequence[Tensor], layout: Layout, value: int, weight: Tensor, wanted: Sequence[bool]
) -> list[Tensor | None]:
    gradients = gradient_buffers(tensors, layout, wanted)
    weight, stride = weight_and_step(weight)
    addresses = tuple([0 if x is None else x.data_ptr() for x in gradients])
    _call(tensors, layout, _Outputs(value, weight.data_ptr(), stride, addresses))
    return gradients


# The blocks of 64-bit integers that kullback.h declares.
_DIAGONAL_CALL, _FULL_CALL = struct.Struct("=26q"), struct.Struct("=21q")

_Packer = Callable[[int, int, int], bytes]  # of the first row, the one after the last, and the number of the call


def _diagonal_packer(tensors: Sequence[Tensor], layout: Layout, outputs: _Outputs) -> _Packer:
    head = (DTYPES[tensors[0].dtype], DIAGONAL[layout.parameterization])
    a, b, c, d = tensors
    data = (a.data_ptr(), b.data_ptr(), c.data_ptr(), d.data_ptr(), *layout.row_stride, *layout.column_stride)
    value, weight, stride, gradients, terms = outputs
    results = (value, weight, stride, *gradients, *terms)
    return lambda first, last, _: _DIAGONAL_CALL.pack(*head, first, last, layout.n, *data, *results)


def _full_packer(tensors: Sequence[Tensor], layout: Layout, outputs: _Outputs, calls: int) -> _Packer:
    assert _LIBRARY is not None
    head = (DTYPES[tensors[0].dtype], _FULL[layout.parameterization])
    data = (*[x.data_ptr() for x in tensors], *layout.row_stride)
    results = (outputs.value, outputs.weight, outputs.weight_stride, *outputs.gradients)
    size = _LIBRARY.kullback_full_workspace(layout.n)
    # Each call has its part; the packer keeps it alive.
    workspace = torch.empty(calls * size, dtype=torch.uint8)
    return lambda first, last, call: _FULL_CALL.pack(
        *head, first, last, layout.n, *data, *results, workspace.data_ptr() + call * size
    )


def _call(tensors: Sequence[Tensor], layout: Layout, outputs: _Outputs) -> None:
    diagonal, rows, n = layout.parameterization in DIAGONAL, layout.n_rows, layout.n
    work = rows * (n if diagonal else n**3)
    if diagonal:
        by_rows("kullback_diagonal", rows, work, _diagonal_packer(tensors, layout, outputs))
    else:
        by_rows("kullback_full", rows, work, _full_packer(tensors, layout, outputs, calls_of(rows, work)))


def calls_of(rows: int, work: int) -> int:
    """How many calls so many operations on so many rows are worth."""
    return 1 if work < _PARALLEL else min(torch.get_num_threads(), rows)


def call(entry: str, block: bytes) -> None:
    """One call of an entry of the library, which must be there."""
    getattr(_LIBRARY, entry)(block)


def by_rows(entry: str, rows: int, work: int, pack: _Packer) -> None:
    """One call of an entry of the library, or one for each thread, which computes a part of the rows."""
    function, calls = functools.partial(call, entry), calls_of(rows, work)
    edges = [rows * i // calls for i in range(calls + 1)]
    blocks = [pack(edges[i], edges[i + 1], i) for i in range(calls)]
    waiting = [_threads().submit(function, block) for block in blocks[1:]]
    function(blocks[0])
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
