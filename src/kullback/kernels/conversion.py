"""A diagonal scale in another parameterization, with its gradient, in as few passes over memory as torch needs.

The reference formula converts by plain operations. This is for the eager mode, in which kernels run.
"""

from typing import Any

import torch
from torch import Tensor

from kullback.gaussians.scales.diagonal import POSITIVE, Diagonal, Parameterization
from kullback.numerics.tensors import constant


def converted(scale: Diagonal, kind: Parameterization) -> Tensor:
    """The values of a scale in the parameterization in which it meets another; NaN where they are not positive."""
    if scale.parameterization not in POSITIVE:
        return scale.to(kind).value
    result: Tensor = _Converted.apply(scale.value, scale.parameterization, kind)  # type: ignore[no-untyped-call]
    return result


class _Converted(torch.autograd.Function):
    """From variances to standard deviations, and from either to log-variances."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, given: Parameterization, kind: Parameterization) -> Tensor:
        result = Diagonal(value, given).to(kind).value
        if kind == "logvar":
            # The logarithm of 0 is a number, and the scale 0 is none.
            result.masked_fill_(value == 0, torch.nan)
        # The derivative is 1 / sqrt v / 2, 2 / s or 1 / v.
        divisor, ctx.factor = (result, 0.5) if kind == "std" else (value, 2.0 if given == "std" else 1.0)
        ctx.save_for_backward(divisor)
        return result

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:
        (divisor,) = ctx.saved_tensors
        slope = torch.addcdiv(constant(0.0, divisor), upstream, divisor, value=ctx.factor)
        return slope, None, None
