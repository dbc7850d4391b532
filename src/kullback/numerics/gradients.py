"""Values from one expression, derivatives from another."""

import torch
from torch import Tensor


def with_value(x: Tensor, value: Tensor) -> Tensor:
    """A tensor that has this value and the derivatives of ``x``, of every order.

    For an ``x`` that is differentiable without cancellation but whose own value has lost digits.
    """
    return x - x.detach() + value.detach()


def any_requires_grad(*tensors: Tensor) -> bool:
    """Whether derivatives are being recorded, and one of these tensors takes part in them."""
    return torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
