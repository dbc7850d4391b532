"""Minimization of a smooth function of tensors by L-BFGS."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# How many steps the approximation of the second derivatives remembers, and the change, in nats, that is no progress.
_MEMORY, _NO_PROGRESS = 20, 1e-7


def minimize(
    function: Callable[..., tuple[Tensor, Sequence[Tensor]]], start: Sequence[Tensor], iterations: int
) -> tuple[float, list[Tensor]]:
    """The value of a function where a descent from ``start`` ends, and where that is.

    Args:
        function: takes tensors, and returns a value and its derivative with respect to each.
        start: float64 tensors on the CPU.
        iterations: after how many steps to stop at the latest.
    """
    # The optimizer of torch, not that of scipy: the threads of the latter's BLAS slow those of torch down tenfold.
    with torch.inference_mode(mode=False):
        at = [x.clone(memory_format=torch.contiguous_format).requires_grad_() for x in start]
        optimizer = torch.optim.LBFGS(
            at, max_iter=iterations, max_eval=2 * iterations, history_size=_MEMORY, tolerance_grad=1e-9,
            tolerance_change=_NO_PROGRESS, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure() -> Tensor:
            value, gradients = evaluated()
            for x, gradient in zip(at, gradients, strict=True):
                x.grad = gradient.clone(memory_format=torch.contiguous_format)
            return value

        def evaluated() -> tuple[Tensor, Sequence[Tensor]]:
            with torch.no_grad():
                return function(*(x.detach() for x in at))

        optimizer.step(closure)
        return float(evaluated()[0]), [x.detach() for x in at]
