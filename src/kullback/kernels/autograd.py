"""The Kullback–Leibler divergence by a kernel, as autograd functions whose gradients are recomputed from the inputs.

Where a gradient has to be differentiated again, or is taken under a transform, the reference formula answers.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.base import Scale
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.gaussians.scales.matrix import Dense, Tril
from kullback.kernels.layout import laid_out
from kullback.kernels.protocol import Inputs, Kernel, TermsKernel
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import why_not_raw_memory
from kullback.numerics.tensors import constant
from kullback.pairs.base import GaussianPair
from kullback.pairs.dispatch import diagonal_pair, make_pair

_MATRIX_SCALES: dict[str, Callable[[Tensor], Scale]] = {"covariance": Dense, "scale_tril": Tril}


def kl_reference(tensors: Sequence[Tensor], parameterization: str, event_dims: int) -> Tensor:
    """The divergence by the reference formula, differentiable in every way."""
    pair: GaussianPair = _reference_pair(make_pair, tensors, parameterization, event_dims)
    return pair.kl()


def _terms_reference(tensors: Sequence[Tensor], parameterization: str, event_dims: int) -> tuple[Tensor, Tensor]:
    pair = _reference_pair(diagonal_pair, tensors, parameterization, event_dims)
    return pair.mean_terms(), pair.covariance_terms()


def _reference_pair(make: Callable[[Gaussian, Gaussian], Any], x: Sequence[Tensor], kind: str, event: int) -> Any:
    a, b, c, d = x
    shape = next((v.shape[v.ndim - event :] for v in (a, c, b, d) if v.ndim), torch.Size())
    scale = _MATRIX_SCALES.get(kind, lambda value: Diagonal(value, kind))  # type: ignore[arg-type]
    # A number stands for the mean of every coordinate.
    means = (v if v.ndim else v.expand(shape) for v in (a, c))
    return make(Gaussian(next(means), scale(b), event), Gaussian(next(means), scale(d), event))


def kl(kernel: Kernel, inputs: Inputs) -> Tensor:
    """The divergence of each row."""
    tensors, parameterization, event_dims = inputs
    if any_requires_grad(*tensors):
        result: Tensor = _KL.apply(*tensors, kernel, parameterization, event_dims)  # type: ignore[no-untyped-call]
        return result
    return kernel.value(*laid_out(tensors, parameterization, event_dims))


def mean_kl(kernel: Kernel, inputs: Inputs, weights: Tensor | None) -> Tensor:
    """The mean over rows of the weighted divergence."""
    tensors, *how = inputs
    result: Tensor = _MeanKL.apply(*tensors, kernel, *how, weights)  # type: ignore[no-untyped-call]
    return result


def kl_terms(kernel: TermsKernel, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """The mean term and the covariance term of each coordinate."""
    tensors, parameterization, event_dims = inputs
    if any_requires_grad(*tensors):
        result: tuple[Tensor, Tensor] = _KLTerms.apply(*tensors, kernel, parameterization, event_dims)  # type: ignore[no-untyped-call]
        return result
    return kernel.terms(*laid_out(tensors, parameterization, event_dims))


class _KL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kernel: Kernel, parameterization: str, event_dims: int
    ) -> Tensor:
        ctx.save_for_backward(a, b, c, d)
        laid, layout = laid_out((a, b, c, d), parameterization, event_dims)
        ctx.how = kernel, event_dims, layout
        return kernel.value(laid, layout)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        kernel, event_dims, layout = ctx.how
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[:4]
        if torch.is_grad_enabled() or why_not_raw_memory((upstream,)):
            kind = layout.parameterization
            grads = _by_reference(lambda x: (kl_reference(x, kind, event_dims),), tensors, wanted, (upstream,))
        elif layout.is_plain:
            grads = kernel.gradients(tensors, layout, upstream, wanted)
        else:
            laid, layout = laid_out(tensors, layout.parameterization, event_dims)
            grads = _summed(kernel.gradients(laid, layout, upstream, wanted), [x.shape for x in tensors])
        return (*grads, None, None, None)


class _KLTerms(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        a: Tensor,
        b: Tensor,
        c: Tensor,
        d: Tensor,
        kernel: TermsKernel,
        parameterization: str,
        event_dims: int,
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(a, b, c, d)
        ctx.how = parameterization, event_dims
        return kernel.terms(*laid_out((a, b, c, d), parameterization, event_dims))

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[:4]
        grads = _by_reference(lambda x: _terms_reference(x, *ctx.how), ctx.saved_tensors, wanted, upstream)
        return (*grads, None, None, None)


class _MeanKL(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kernel: Kernel, parameterization: str, event_dims: int,
        weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(a, b, c, d, weights)
        ctx.how, ctx.shapes = (kernel, parameterization, event_dims), (a.shape, b.shape, c.shape, d.shape)
        ctx.gradients = None
        laid, layout = laid_out((a, b, c, d), parameterization, event_dims)
        wanted = ctx.needs_input_grad[:4]
        if any(wanted) and kernel.in_one_pass(layout):
            share = constant(1.0 / layout.n_rows, a)
            share = share if weights is None else share * weights.expand(layout.batch)
            value, ctx.gradients = kernel.value_and_gradients(laid, layout, share, wanted)
        else:
            value = kernel.value(laid, layout)
        total: Tensor = value.mean() if weights is None else (value * weights).mean()
        return total

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        # Handed out once: they become the caller's, who may change them.
        gradients, ctx.gradients = ctx.gradients, None
        (kernel, *how), wanted = ctx.how, ctx.needs_input_grad[:4]
        if torch.is_grad_enabled() or why_not_raw_memory((upstream,)):
            *tensors, weights = ctx.saved_tensors

            def mean(x: Sequence[Tensor]) -> tuple[Tensor]:
                value = kl_reference(x, *how)
                return ((value if weights is None else value * weights).mean(),)

            grads = _by_reference(mean, tensors, wanted, (upstream,))
        elif gradients is None:
            *tensors, weights = ctx.saved_tensors
            laid, layout = laid_out(tensors, *how)
            share = upstream * (1.0 / layout.n_rows)
            share = share if weights is None else share * weights.expand(layout.batch)
            grads = _summed(kernel.gradients(laid, layout, share, wanted), ctx.shapes)
        else:
            grads = _summed(gradients, ctx.shapes)
            # Only a CPU can say at once whether this is 1.
            if not upstream.is_cpu or upstream.item() != 1.0:
                torch._foreach_mul_([x for x in grads if x is not None], upstream)
        return (*grads, None, None, None, None)


def _by_reference(
    f: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    tensors: Sequence[Tensor],
    wanted: Sequence[bool],
    upstream: Sequence[Tensor],
) -> list[Tensor | None]:
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that one tensor in two places is differentiated in each.
        views = [x.view_as(x) for x in tensors]
        values = f(views)
        at = [x for x, want in zip(views, wanted, strict=True) if want]
        grads = iter(torch.autograd.grad(values, at, upstream, create_graph=again, materialize_grads=True))
    return [next(grads) if want else None for want in wanted]


def _summed(gradients: Sequence[Tensor | None], shapes: Sequence[torch.Size]) -> list[Tensor | None]:
    """Of the shapes of the tensors: summed over what was shared."""
    pairs = zip(gradients, shapes, strict=True)
    return [g if g is None or g.shape == shape else g.sum_to_size(shape) for g, shape in pairs]
