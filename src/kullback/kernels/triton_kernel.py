"""The Triton kernels of ``gpu/``: for tensors on CUDA devices, one launch for the values, one for the gradients.

With ``TRITON_INTERPRET=1`` in the environment of the process, Triton interprets them, on the CPU: for tests.
"""

import contextlib
import functools
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kullback.kernels.layout import MATRICES, Layout, gradient_buffers, weight_and_step
from kullback.kernels.protocol import Inputs, Work

_INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

# What is served; full Gaussians of so many coordinates. The linear algebra of torch is faster beyond: on an H200, for
# 4,096 pairs of 32 coordinates, twice.
_DIAGONAL = ("std", "variance", "logvar")
_LARGEST = 16

# What a program of 32 lanes and more holds in its registers: numbers of diagonals, and of matrices.
_NUMBERS, _MATRIX_NUMBERS = 512, 256

# So many programs occupy a device; rows are split only below.
_PROGRAMS = 512

# Of so few numbers of each operand, reading and writing them takes less time than a launch.
_FEW = 2**20

# Triton compiles for devices of this compute capability and later ones.
_CAPABILITY = (7, 0)


@functools.cache
def unavailable_reason() -> str | None:
    """Why there are no Triton kernels; None if there are."""
    if importlib.util.find_spec("triton") is None:
        return "triton is not installed"
    if torch.version.cuda is None and torch.version.hip is None and not _INTERPRETED:
        return "torch was built without CUDA"
    return None


class TritonKernel:
    """Pairs of diagonals, and of full Gaussians of few coordinates."""

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why the kernels cannot do this; None if they can."""
        x = inputs.tensors[0]
        if not ((x.is_cuda and _has_capability(x.device)) or (x.is_cpu and _INTERPRETED)):
            return f"tensors on CUDA devices of compute capability {_CAPABILITY[0]} and more"
        if work == "kl_sums":
            return "no sums over rows"
        if inputs.parameterization in _DIAGONAL:
            return None
        if work != "kl":
            return "pairs of diagonals"
        served = inputs.parameterization in MATRICES and inputs.d <= _LARGEST
        return None if served else f"diagonal and full Gaussians, these of at most {_LARGEST} coordinates"

    def in_one_pass(self, layout: Layout) -> bool:
        """They are where launches take longer than memory."""
        return layout.n_rows * layout.n <= _FEW

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""
        return _launched(tensors, layout, None, _NONE)

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor."""
        gradients = gradient_buffers(tensors, layout, wanted)
        if layout.parameterization in MATRICES:
            _launch_full(tensors, layout, weight=weight, gradients=gradients)
        else:
            _launch_diagonal(tensors, layout, _columns(tensors, layout), weight=weight, gradients=gradients)
        return gradients

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Both by one launch."""
        gradients = gradient_buffers(tensors, layout, wanted)
        return _launched(tensors, layout, weight, gradients), gradients

    def terms(self, tensors: Sequence[Tensor], layout: Layout) -> tuple[Tensor, Tensor]:
        """The mean and the covariance term of each coordinate."""
        mean, covariance = gradient_buffers(tensors, layout, (True, False, True, False))[::2]
        assert mean is not None
        assert covariance is not None
        _launch_diagonal(tensors, layout, _columns(tensors, layout), terms=(mean, covariance))
        return mean, covariance


def _launched(
    tensors: Sequence[Tensor], layout: Layout, weight: Tensor | None, gradients: Sequence[Tensor | None]
) -> Tensor:
    """The divergence of each row; the derivatives, too, of those that are wanted."""
    dtype, device = tensors[0].dtype, tensors[0].device
    if layout.parameterization in MATRICES:
        result = torch.empty(layout.batch, dtype=dtype, device=device)
        _launch_full(tensors, layout, result, weight, gradients)
        return result
    programs, parts = -(-layout.n_rows // _tile(tensors, layout)[0]), 1
    if programs < _PROGRAMS:
        parts = min(_columns(tensors, layout), -(-_PROGRAMS // programs))
    sums = torch.empty((parts, layout.n_rows), dtype=dtype, device=device)
    _launch_diagonal(tensors, layout, parts, sums, weight, gradients)
    return (sums if parts == 1 else sums.sum(0)).reshape(layout.batch)


@functools.cache
def _has_capability(device: torch.device) -> bool:
    return torch.cuda.get_device_capability(device) >= _CAPABILITY


def _tile(tensors: Sequence[Tensor], layout: Layout) -> tuple[int, int]:
    """How many rows and coordinates a program computes at once; powers of two."""
    numbers = _NUMBERS * 4 // tensors[0].dtype.itemsize
    width = min(numbers, 1 << (layout.n - 1).bit_length())
    return numbers // width, width


def _columns(tensors: Sequence[Tensor], layout: Layout) -> int:
    return -(-layout.n // _tile(tensors, layout)[1])


_NONE: tuple[None, ...] = (None, None, None, None)


def _launch_diagonal(
    tensors: Sequence[Tensor],
    layout: Layout,
    parts: int,
    value: Tensor | None = None,
    weight: Tensor | None = None,
    gradients: Sequence[Tensor | None] = _NONE,
    terms: tuple[Tensor | None, Tensor | None] = (None, None),
) -> None:
    from kullback.kernels.gpu.diagonal import diagonal

    height, width = _tile(tensors, layout)
    weight, step = (None, 0) if weight is None else weight_and_step(weight)
    steps = *layout.row_stride, *layout.column_stride
    sizes = layout.n_rows, layout.n, parts
    constants = layout.parameterization, 8 * tensors[0].dtype.itemsize, height, width
    arguments = *tensors, *steps, weight, step, value, *gradients, *terms, *sizes, *constants
    made = value, *gradients, *terms
    grid = -(-layout.n_rows // height), parts, 1
    _launch(diagonal, grid, arguments, (*tensors, weight), made, (steps, step, sizes, constants), warps=4)


def _launch_full(
    tensors: Sequence[Tensor],
    layout: Layout,
    value: Tensor | None = None,
    weight: Tensor | None = None,
    gradients: Sequence[Tensor | None] = _NONE,
) -> None:
    from kullback.kernels.gpu.full import full

    width = 1 << (layout.n - 1).bit_length()
    height = max(1, _MATRIX_NUMBERS // width**2)
    weight, step = (None, 0) if weight is None else weight_and_step(weight)
    factors, steps, sizes = layout.parameterization == "scale_tril", layout.row_stride, (layout.n_rows, layout.n)
    constants = factors, not factors and tensors[0].dtype == torch.float64, height, width
    arguments = *tensors, *steps, weight, step, value, *gradients, *sizes, *constants
    made = value, *gradients
    grid = -(-layout.n_rows // height), 1, 1
    _launch(full, grid, arguments, (*tensors, weight), made, (steps, step, sizes, constants), warps=1)


# What Triton has compiled, by all that it looks at in the arguments: to launch it takes half as long.
_compiled: dict[tuple[Any, ...], Any] = {}
_MOST_COMPILED = 1024


def _launch(
    kernel: Any,
    grid: tuple[int, int, int],
    arguments: Sequence[Any],
    given: Sequence[Tensor | None],
    made: Sequence[Tensor | None],
    numbers: tuple[Any, ...],
    warps: int,
) -> None:
    """Launch a kernel on its arguments, which are tensors that were given, tensors made here, and numbers."""
    x, addresses = arguments[0], 0
    for tensor in given:
        addresses |= 0 if tensor is None else tensor.data_ptr()
    # Triton also looks at which addresses are multiples of 16. Those of what is made here are.
    aligned = addresses % 16 == 0
    key = kernel.__name__, numbers, x.dtype, x.device, given[-1] is None, tuple([tensor is None for tensor in made])
    compiled = _compiled.get(key) if aligned else None
    with _on_device(x):
        if compiled is not None:
            compiled[grid](*arguments)
            return
        compiled = kernel[grid](*arguments, num_warps=warps)
    if compiled is not None and aligned:  # interpreting, Triton compiles nothing
        if len(_compiled) >= _MOST_COMPILED:
            _compiled.clear()
        _compiled[key] = compiled


_NOTHING = contextlib.nullcontext()


def _on_device(x: Tensor) -> Any:
    """Triton launches on the current device."""
    return torch.cuda.device(x.device) if x.is_cuda and x.device.index != torch.cuda.current_device() else _NOTHING
