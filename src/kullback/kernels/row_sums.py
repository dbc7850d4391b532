"""What adds up over rows of diagonals, by the C library of ``native/``: read once, and never there row by row."""

import struct

import torch
from torch import Tensor

from kullback.kernels import native_kernel
from kullback.kernels.layout import Layout, laid_out
from kullback.kernels.protocol import Inputs, RowMoments, Sums, Work

# The blocks of 64-bit integers that kullback.h declares.
_SUMS_CALL, _MOMENTS_CALL = struct.Struct("=19q"), struct.Struct("=13q")


class RowSums:
    """The C library as a kernel of sums. A call is the work of one thread: rows come in batches, of which others have
    theirs.
    """

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why the library cannot do this; None if it can."""
        if work != "kl_sums" or inputs.parameterization not in native_kernel.DIAGONAL:
            return "sums over rows of pairs of diagonals"
        return None if inputs.tensors[0].is_cpu else "tensors on the CPU"

    def sums(self, inputs: Inputs) -> Sums:
        """Of a pair."""
        tensors, layout, event = _laid_out(inputs)
        sums = Sums(_new(torch.Size(layout.batch)), _new(event), _new(event))
        _call("kullback_sums", _SUMS_CALL, tensors, layout, sums)
        return sums

    def moments(self, inputs: Inputs) -> RowMoments:
        """Of the first of a pair, of one row or more."""
        tensors, layout, event = _laid_out(inputs)
        moments = RowMoments(_new(event), _new(event), _new(event))
        _call("kullback_moments", _MOMENTS_CALL, tensors[:2], layout, moments)
        return moments


def _laid_out(inputs: Inputs) -> tuple[list[Tensor], Layout, torch.Size]:
    tensors, layout = laid_out(*inputs)
    return list(tensors), layout, torch.Size(layout.shapes[0][len(layout.batch) :])


def _new(shape: torch.Size) -> Tensor:
    return torch.empty(shape, dtype=torch.float64, device="cpu")


def _call(entry: str, block: struct.Struct, tensors: list[Tensor], layout: Layout, results: tuple[Tensor, ...]) -> None:
    count = len(tensors)
    head = native_kernel.DTYPES[tensors[0].dtype], native_kernel.DIAGONAL[layout.parameterization]
    data = [x.data_ptr() for x in tensors]
    strides = *layout.row_stride[:count], *layout.column_stride[:count]
    packed = block.pack(*head, layout.n_rows, layout.n, *data, *strides, *[x.data_ptr() for x in results])
    native_kernel.call(entry, packed)
