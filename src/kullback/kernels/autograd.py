"""The Kullback–Leibler divergence by a kernel, as autograd functions whose gradients are recomputed from the inputs.

A gradient of diagonals that has to be differentiated again is a function with a derivative in closed form. Gradients of
full Gaussians, and what is taken under a transform, are left to the reference formula.
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
from kullback.kernels.protocol import Inputs, KLKernel, TermsKernel
from kullback.kernels.second_derivatives import DERIVATIVES
from kullback.numerics.gradients import any_requires_grad
from kullback.numerics.guard import why_not_raw_memory
from kullback.numerics.tensors import constant, sum_event
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


def kl(kernel: KLKernel, inputs: Inputs) -> Tensor:
    """The divergence of each row."""
    tensors, parameterization, event_dims = inputs
    if any_requires_grad(*tensors):
        result: Tensor = _KL.apply(*tensors, kernel, parameterization, event_dims)  # type: ignore[no-untyped-call]
        return result
    return kernel.value(*laid_out(tensors, parameterization, event_dims))


def mean_kl(kernel: KLKernel, inputs: Inputs, weights: Tensor | None) -> Tensor:
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
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kernel: KLKernel, parameterization: str, event_dims: int
    ) -> Tensor:
        ctx.save_for_backward(a, b, c, d)
        laid, layout = laid_out((a, b, c, d), parameterization, event_dims)
        ctx.how = kernel, event_dims, layout
        return kernel.value(laid, layout)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        kernel, event_dims, layout = ctx.how
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[:4]
        kind = layout.parameterization
        if why_not_raw_memory((upstream,)) or (torch.is_grad_enabled() and kind not in DERIVATIVES):
            grads = _by_reference(lambda x: (kl_reference(x, kind, event_dims),), tensors, wanted, (upstream,))
        elif torch.is_grad_enabled():
            grads = _Gradients.apply(*tensors, upstream, kernel, kind, event_dims, wanted)  # type: ignore[no-untyped-call]
        elif layout.is_plain:
            grads = kernel.gradients(tensors, layout, upstream, wanted)
        else:
            laid, layout = laid_out(tensors, kind, event_dims)
            grads = _summed(kernel.gradients(laid, layout, upstream, wanted), [x.shape for x in tensors])
        return (*grads, None, None, None)


class _Gradients(torch.autograd.Function):
    """The gradients of the weighted sum of the divergences of diagonals."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, weight: Tensor, kernel: KLKernel, parameterization: str,
        event_dims: int, wanted: Sequence[bool],
    ) -> tuple[Tensor | None, ...]:  # fmt: skip
        ctx.save_for_backward(a, b, c, d, weight)
        ctx.how, ctx.shapes = (parameterization, event_dims), (a.shape, b.shape, c.shape, d.shape)
        laid, layout = laid_out((a, b, c, d), parameterization, event_dims)
        return tuple(_summed(kernel.gradients(laid, layout, weight, wanted), ctx.shapes))

    @staticmethod
    def backward(ctx: Any, *direction: Tensor | None) -> tuple[Tensor | None, ...]:
        (a, b, c, d, weight), (parameterization, event_dims) = ctx.saved_tensors, ctx.how
        derivatives, delta = DERIVATIVES[parameterization], a - c
        of_p, v, of_q, w = (constant(0.0, a) if x is None else x for x in direction)
        u = of_p - of_q
        slope = None
        if ctx.needs_input_grad[4]:
            gradient = derivatives.gradient(delta, b, d)
            slope = sum_event(gradient[0] * u + gradient[1] * v + gradient[2] * w, event_dims)
        weights = weight.reshape(*weight.shape, *[1] * event_dims)
        mean, scale_p, scale_q = (weights * x for x in derivatives.hessian_product(delta, b, d, u, v, w))
        found = [
            x if want else None for x, want in zip((mean, scale_p, -mean, scale_q), ctx.needs_input_grad, strict=False)
        ]
        return (*_summed(found, ctx.shapes), slope, None, None, None, None)


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
        ctx: Any, a: Tensor, b: Tensor, c: Tensor, d: Tensor, kernel: KLKernel, parameterization: str, event_dims: int,
        weights: Tensor | None,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(a, b, c, d, weights)
        ctx.shapes, ctx.gradients = (a.shape, b.shape, c.shape, d.shape), None
        laid, layout = laid_out((a, b, c, d), parameterization, event_dims)
        ctx.how = kernel, parameterization, event_dims, torch.Size(layout.batch)
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
        (kernel, kind, event_dims, batch), wanted = ctx.how, ctx.needs_input_grad[:4]
        again = torch.is_grad_enabled()
        if why_not_raw_memory((upstream,)) or (again and kind not in DERIVATIVES):
            *tensors, weights = ctx.saved_tensors

            def mean(x: Sequence[Tensor]) -> tuple[Tensor]:
                value = kl_reference(x, kind, event_dims)
                return ((value if weights is None else value * weights).mean(),)

            grads = _by_reference(mean, tensors, wanted, (upstream,))
        elif again or gradients is None:
            *tensors, weights = ctx.saved_tensors
            share = upstream * (1.0 / batch.numel())
            share = share.expand(batch) if weights is None else share * weights.expand(batch)
            if again:
                grads = _Gradients.apply(*tensors, share, kernel, kind, event_dims, wanted)  # type: ignore[no-untyped-call]
            else:
                laid, layout = laid_out(tensors, kind, event_dims)
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
