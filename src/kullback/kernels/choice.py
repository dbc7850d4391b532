"""Which backend computes a divergence: the first that may. The reference formula always may."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.kernels import autograd, low_rank_kernel, native_kernel, row_sums, triton_kernel
from kullback.kernels.elementwise_kernel import ElementwiseKernel
from kullback.kernels.factored_kernel import FactoredKernel
from kullback.kernels.inputs import kernel_inputs, widens_exactly
from kullback.kernels.protocol import GaussianKernel, Inputs, Kernel, RowMoments, Sums, SumsKernel, Work
from kullback.numerics.guard import OTHER_DTYPES, active_transform, unreadable_tensor
from kullback.numerics.tensors import broadcast_shapes, compute_dtype
from kullback.pairs.dispatch import diagonal_pair


class Backend(NamedTuple):
    """Kernels, of which the first that supports a pair computes it; and why the backend is not there, if it is not."""

    name: str
    kernels: tuple[Kernel, ...]
    unavailable_reason: Callable[[], str | None]
    for_gaussians: tuple[GaussianKernel, ...] = ()


# In the order in which they are asked. A new backend is its kernels' files and its row.
BACKENDS = (
    Backend("native", (native_kernel.NativeKernel(), row_sums.RowSums()), native_kernel.unavailable_reason),
    Backend("triton", (triton_kernel.TritonKernel(),), triton_kernel.unavailable_reason),
    Backend("torch", (ElementwiseKernel(), FactoredKernel()), lambda: None, (low_rank_kernel.LowRankKernel(),)),
    Backend("reference", (), lambda: None),
)


class Selection(NamedTuple):
    """The backend that computes a pair, and why no faster one does."""

    backend: str
    reason: str


class AllowedBackends(NamedTuple):
    """The backends that may compute if they are there, in order, and why no others."""

    backends: tuple[Backend, ...]
    reason: str


def allowed(name: str | None) -> AllowedBackends:
    """Every backend, or the one that is asked for; beside them the reference formula always answers.

    Raises:
        ValueError: if there is no such backend, or it is not there.
    """
    names = [backend.name for backend in BACKENDS]
    if not name:
        return AllowedBackends(BACKENDS, "")
    if name not in names:
        raise ValueError(f"the backends are one of {', '.join(names)}, got {name!r}.")
    backend = BACKENDS[names.index(name)]
    reason = backend.unavailable_reason()
    if reason:
        raise ValueError(f"the backend {name!r} is not there: {reason}.")
    return AllowedBackends((backend,), "asked for by name")


_of_process = allowed(os.environ.get("KULLBACK_KERNEL"))
_allowed: ContextVar[AllowedBackends] = ContextVar("kullback_kernels", default=_of_process)


def current() -> AllowedBackends:
    """The backends that may compute here and now."""
    return _allowed.get()


@contextlib.contextmanager
def use(name: str | None) -> Iterator[None]:
    """Compute by one backend within a ``with`` block: ``"native"``, ``"triton"``, ``"torch"`` or ``"reference"``.

    Pairs that it does not support are computed by the reference formula. None allows every backend that is there. The
    environment variable ``KULLBACK_KERNEL`` sets the same for a whole process.

    Raises:
        ValueError: if there is no such backend, or it is not there.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, kernels
        >>> p = Gaussian.from_std(torch.zeros(4, 8), torch.ones(4, 8))
        >>> with kernels.use("reference"):
        ...     print(kernels.selected(p, p).backend)
        reference
    """
    token = _allowed.set(allowed(name))
    try:
        yield
    finally:
        _allowed.reset(token)


def accelerated_kl(p: Gaussian, q: Gaussian) -> Tensor | None:
    """The Kullback–Leibler divergence by a kernel; None if the reference formula is to answer."""
    kernel_and_inputs = _kernel("kl", p, q)
    if kernel_and_inputs is not None:
        return autograd.kl(*kernel_and_inputs)
    if (p.scale.is_diagonal and q.scale.is_diagonal) or active_transform():
        return None
    _, kernel = _first_for_gaussians(_allowed.get().backends, p, q)
    return None if kernel is None else kernel.kl(p, q, _diagonal_kl)


def _diagonal_kl(p: Gaussian, q: Gaussian) -> Tensor:
    value = accelerated_kl(p, q)
    return diagonal_pair(p, q).kl() if value is None else value


def accelerated_mean_kl(p: Gaussian, q: Gaussian, weights: Tensor | None) -> Tensor | None:
    """The mean over rows of the weighted divergence in one pass; None if the reference formula is to answer."""
    kernel_and_inputs = _kernel("kl", p, q)
    if kernel_and_inputs is None:
        return None
    if weights is not None:
        batch = broadcast_shapes(p.batch_shape, q.batch_shape)
        first = kernel_and_inputs[1].tensors[0]
        if weights.requires_grad or unreadable_tensor((first, weights)) or not _expands_to(weights.shape, batch):
            return None
    return autograd.mean_kl(*kernel_and_inputs, weights)


def accelerated_kl_terms(p: Gaussian, q: Gaussian) -> tuple[Tensor, Tensor] | None:
    """Both terms of each coordinate by a kernel; None if the reference formula is to answer."""
    kernel_and_inputs = _kernel("kl_terms", p, q)
    return kernel_and_inputs if kernel_and_inputs is None else autograd.kl_terms(*kernel_and_inputs)


def accelerated_kl_per_dimension(p: Gaussian, q: Gaussian) -> Tensor | None:
    """The sum of both terms of each coordinate by a kernel; None if the reference formula is to answer."""
    terms = accelerated_kl_terms(p, q)
    return None if terms is None else terms[1] + terms[0]


def accelerated_kl_sums(p: Gaussian, q: Gaussian) -> Sums | None:
    """The divergences of rows ``(N,)`` of diagonals and the sums over rows of their terms, in float64; None if the
    reference formula is to answer.
    """
    kernel_and_inputs = _kernel_of_sums(p, q)
    return kernel_and_inputs and kernel_and_inputs[0].sums(kernel_and_inputs[1])


def accelerated_moments(g: Gaussian) -> RowMoments | None:
    """The moments of rows ``(N,)`` of a diagonal, in float64; None if the reference formula is to answer."""
    kernel_and_inputs = _kernel_of_sums(g, g)
    return kernel_and_inputs and kernel_and_inputs[0].moments(kernel_and_inputs[1])


def _kernel_of_sums(p: Gaussian, q: Gaussian) -> tuple[SumsKernel, Inputs] | None:
    if not (p.scale.is_diagonal and q.scale.is_diagonal and widens_exactly(p, q)):
        return None
    return _kernel("kl_sums", p, q)


# What public functions ask, by their names. A function that is not here has no kernel.
KERNELS: dict[str, Callable[[Gaussian, Gaussian], Any]] = {
    "kl_divergence": accelerated_kl,
    "kl_terms": accelerated_kl_terms,
    "kl_per_dimension": accelerated_kl_per_dimension,
}


def _kernel(work: Work, p: Gaussian, q: Gaussian) -> tuple[Any, Inputs] | None:
    """The kernel that computes a pair, and what it computes on; None if the reference formula does."""
    # In this order: torch.compile can trace the first question alone.
    if active_transform():
        return None
    backends = _allowed.get().backends
    if not backends[0].kernels:
        return None
    inputs = _readable_inputs(p, q)
    if isinstance(inputs, str):
        return None
    _, kernel, _ = _first_that_may(backends, work, inputs)
    return None if kernel is None else (kernel, inputs)


def _first_that_may(backends: Sequence[Backend], work: Work, inputs: Inputs) -> tuple[str, Kernel | None, list[str]]:
    """The backend that computes this, its kernel (the reference formula has none), and why those before it do not."""
    reasons: list[str] = []
    for backend in backends:
        missing = backend.unavailable_reason()
        if missing:
            reasons.append(f"no {backend.name}: {missing}")
            continue
        for kernel in backend.kernels:
            reason = kernel.unsupported_reason(work, inputs)
            if reason is None:
                return backend.name, kernel, reasons
            reasons.append(f"{backend.name} takes {reason}")
    return "reference", None, reasons


def _first_for_gaussians(backends: Sequence[Backend], p: Gaussian, q: Gaussian) -> tuple[str, GaussianKernel | None]:
    """The backend that computes a pair of other Gaussians, and its kernel (the reference formula has none)."""
    for backend in backends:
        for kernel in backend.for_gaussians:
            if kernel.unsupported_reason(p, q) is None:
                return backend.name, kernel
    return "reference", None


def _readable_inputs(p: Gaussian, q: Gaussian) -> Inputs | str:
    inputs = _inputs_as_given(p, q)
    if inputs != OTHER_DTYPES:
        return inputs
    # As the reference formula does: half precision is computed in float32, and what differs in what it promotes to.
    dtype = compute_dtype([*p.tensors(), *q.tensors()])
    p, q = (g.to(dtype) if g.tensors() else g for g in (p, q))
    return _inputs_as_given(p, q)


def _inputs_as_given(p: Gaussian, q: Gaussian) -> Inputs | str:
    inputs = kernel_inputs(p, q)
    return inputs if isinstance(inputs, str) else unreadable_tensor(inputs.tensors) or inputs


def _expands_to(shape: torch.Size, batch: torch.Size) -> bool:
    return len(shape) <= len(batch) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(batch), strict=False))


def selected(p: Any, q: Any) -> Selection:
    """Which backend computes ``kl_divergence(p, q)`` here and now, and why.

    Args:
        p: whatever ``kl_divergence`` takes.
        q: the same.

    Returns:
        ``Selection(backend, reason)``: ``"native"``, ``"triton"``, ``"torch"`` or ``"reference"``, and why none of
        those before it.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.kernels import selected
        >>> p = Gaussian.from_std(torch.zeros(4, 8), torch.ones(4, 8))
        >>> selected(p, Gaussian.from_covariance(torch.zeros(8), torch.eye(8))).backend
        'reference'
    """
    transform = active_transform()
    if transform:
        return Selection("reference", transform)
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    inputs, (backends, asked) = _readable_inputs(p, q), current()
    if isinstance(inputs, str):
        name, _ = _first_for_gaussians(backends, p, q)
        return Selection(name, inputs if backends[0].kernels else asked)
    name, _, reasons = _first_that_may(backends, "kl", inputs)
    return Selection(name, "; ".join(filter(None, [asked, *reasons])) or "the fastest there is")
