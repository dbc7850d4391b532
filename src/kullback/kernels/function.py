"""The Kullback–Leibler divergence in one piece: a value, and gradients that are recomputed from the operands.

A body gives ``value(operands, layout)``, ``gradients(operands, layout, weight, wanted)`` and ``value_and_gradients``.
Where a gradient has to be differentiated again, or comes under a transform, the formula answers.
"""

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from kullback.gaussian import Gaussian
from kullback.kernels.guard import objection
from kullback.kernels.layout import Kind, arranged
from kullback.scale.base import Scale
from kullback.scale.diagonal import Diagonal
from kullback.scale.matrix import Dense, Tril

Operands = tuple[Tensor, Tensor, Tensor, Tensor]


def formula(tensors: Sequence[Tensor], kind: Kind, event: int) -> Tensor:
    """The divergence by the formula, which is the truth, and differentiable in every way."""
    from kullback.divergences.kl import kl_divergence

    a, b, c, d = tensors
    shape = next((x.shape[x.ndim - event :] for x in (a, c, b, d) if x.ndim), torch.Size())
    p, q = (Gaussian(mean, _scale(scale, kind), shape) for mean, scale in ((a, b), (c, d)))
    result: Tensor = inspect.unwrap(kl_divergence)(p, q)
    return result


def _scale(x: Tensor, kind: Kind) -> Scale:
    if kind == "covariance":
        return Dense(x)
    return Tril(x) if kind == "scale_tril" else Diagonal(x, kind)


def kl(body: ModuleType, tensors: Operands, kind: Kind, event: int) -> Tensor:
    """The divergence of each row by a body."""
    if torch.is_grad_enabled() and any(x.requires_grad for x in tensors):
        result: Tensor = _KL.apply(*tensors, kind, event, body)  # type: ignore[no-untyped-call]
        return result
    laid, layout = arranged(tensors, kind, event)
    value: Tensor = body.value(laid, layout)
    return value


def mean_kl(body: ModuleType, tensors: Operands, kind: Kind, event: int, weights: Tensor | None) -> Tensor:
    """The mean over rows of the weighted divergence by a body."""
    result: Tensor = _MeanKL.apply(*tensors, kind, event, body, weights)  # type: ignore[no-untyped-call]
    return result


class _KL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kind: Kind, event: int, body: ModuleType
    ) -> Tensor:
        ctx.save_for_backward(a, b, c, d)
        laid, layout = arranged((a, b, c, d), kind, event)
        ctx.how = event, body, layout
        value: Tensor = body.value(laid, layout)
        return value

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        event, body, layout = ctx.how
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[:4]
        if torch.is_grad_enabled() or objection((upstream,)):
            found = _by_formula(lambda x: formula(x, layout.kind, event), tensors, wanted, upstream)
        elif layout.plain:
            found = body.gradients(tensors, layout, upstream, wanted)
        else:
            laid, layout = arranged(tensors, layout.kind, event)
            found = _summed(body.gradients(laid, layout, upstream, wanted), tensors)
        return (*found, None, None, None)


class _MeanKL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kind: Kind, event: int, body: ModuleType,
        weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(a, b, c, d)
        ctx.how, ctx.weights = (kind, event), weights
        laid, layout = arranged((a, b, c, d), kind, event)
        share = torch.full((), 1.0 / layout.rows, dtype=a.dtype)
        share = share if weights is None else share * weights.expand(layout.batch)
        wanted = ctx.needs_input_grad[:4]
        if any(wanted):
            value, ctx.gradients = body.value_and_gradients(laid, layout, share, wanted)
        else:
            value = body.value(laid, layout)
        total: Tensor = value.mean() if weights is None else (value * share).sum()
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[:4]
        # Handed out once: they become the caller's, who may change them.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None or torch.is_grad_enabled() or objection((upstream,)):

            def mean(x: Sequence[Tensor]) -> Tensor:
                value = formula(x, *ctx.how)
                return (value if ctx.weights is None else value * ctx.weights).mean()

            found = _by_formula(mean, tensors, wanted, upstream)
        else:
            found = _summed(gradients, tensors)
            factor = upstream.item()
            if factor != 1.0:
                found = [x if x is None else x.mul_(factor) for x in found]
        return (*found, None, None, None, None)


def _by_formula(
    f: Callable[[Sequence[Tensor]], Tensor], tensors: Sequence[Tensor], wanted: Sequence[bool], upstream: Tensor
) -> list[Tensor | None]:
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that one tensor in two places is differentiated in each.
        views = [x.view_as(x) for x in tensors]
        value = f(views)
        at = [x for x, want in zip(views, wanted, strict=True) if want]
        found = iter(torch.autograd.grad(value, at, upstream, create_graph=again, materialize_grads=True))
    return [next(found) if want else None for want in wanted]


def _summed(gradients: Sequence[Tensor | None], tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """Of the shape of the operands: summed over what was shared."""
    pairs = zip(gradients, tensors, strict=True)
    return [g if g is None or g.shape == x.shape else g.sum_to_size(x.shape) for g, x in pairs]
