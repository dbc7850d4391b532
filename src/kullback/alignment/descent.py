"""Minimization of a smooth function of tensors by L-BFGS."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# How many steps the approximation of the second derivatives remembers.
_MEMORY = 20

NO_PROGRESS = 1e-7
"""The change, in nats, that is no progress."""


def minimize(
    function: Callable[..., tuple[Tensor, Sequence[Tensor]]],
    start: Sequence[Tensor],
    iterations: int,
    *,
    no_progress: float = NO_PROGRESS,
) -> tuple[float, list[Tensor]]:
    """The value of a function where a descent from ``start`` ends, and where that is.

    Args:
        function: takes tensors, and returns a value and its derivative with respect to each.
        start: float64 tensors on the CPU.
        iterations: after how many steps to stop at the latest.
        no_progress: the change of the value, and of every number, that ends the descent.
    """
    # The optimizer of torch, not that of scipy: the threads of the latter's BLAS slow those of torch down tenfold.
    with torch.inference_mode(mode=False):
        at = [x.clone(memory_format=torch.contiguous_format).requires_grad_() for x in start]
        optimizer = torch.optim.LBFGS(
            at, max_iter=iterations, max_eval=2 * iterations, history_size=_MEMORY, tolerance_grad=1e-9,
            tolerance_change=no_progress, line_search_fn="strong_wolfe",
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
