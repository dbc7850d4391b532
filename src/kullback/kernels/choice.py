"""Which backend computes a divergence: the first that may. The reference formula always may."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.low_rank import LowRank
from kullback.interop.registry import as_gaussian
from kullback.kernels import autograd, low_rank_kernel, native_kernel
from kullback.kernels.factored_kernel import FactoredKernel
from kullback.kernels.inputs import kernel_inputs
from kullback.kernels.protocol import Inputs, Kernel, Work
from kullback.kernels.tiled_kernel import TiledKernel
from kullback.numerics.guard import active_transform, unreadable_tensor
from kullback.numerics.tensors import broadcast_shapes
from kullback.pairs.dispatch import diagonal_pair


class Backend(NamedTuple):
    """Kernels, of which the first that supports a pair computes it; and why the backend is not there, if it is not."""

    name: str
    kernels: tuple[Kernel, ...]
    unavailable_reason: Callable[[], str | None]


# In the order in which they are asked. A new backend is its kernels' files and its row.
BACKENDS = (
    Backend("native", (native_kernel.NativeKernel(),), native_kernel.unavailable_reason),
    Backend("torch", (TiledKernel(), FactoredKernel()), lambda: None),
    Backend("reference", (), lambda: None),
)


class Selection(NamedTuple):
    """The backend that computes a pair, and why no faster one does."""

    backend: str
    reason: str


class AvailableBackends(NamedTuple):
    """The backends that may compute, in order, and why no others."""

    backends: tuple[Backend, ...]
    reason: str


def available(name: str | None) -> AvailableBackends:
    """The backends that are there, or the one that is asked for; beside them the reference formula always answers.

    Raises:
        ValueError: if there is no such backend, or it is not there.
    """
    names = [backend.name for backend in BACKENDS]
    if not name:
        missing = [
            f"no {backend.name}: {backend.unavailable_reason()}" for backend in BACKENDS if backend.unavailable_reason()
        ]
        return AvailableBackends(tuple(b for b in BACKENDS if not b.unavailable_reason()), "; ".join(missing))
    if name not in names:
        raise ValueError(f"the backends are one of {', '.join(names)}, got {name!r}.")
    backend = BACKENDS[names.index(name)]
    reason = backend.unavailable_reason()
    if reason:
        raise ValueError(f"the backend {name!r} is not there: {reason}.")
    return AvailableBackends((backend,), "asked for by name")


_of_process = available(os.environ.get("KULLBACK_KERNEL"))
_available: ContextVar[AvailableBackends] = ContextVar("kullback_kernels", default=_of_process)


def current() -> AvailableBackends:
    """The backends that may compute here and now."""
    return _available.get()


@contextlib.contextmanager
def use(name: str | None) -> Iterator[None]:
    """Compute by one backend within a ``with`` block: ``"native"``, ``"torch"`` or ``"reference"``.

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
    token = _available.set(available(name))
    try:
        yield
    finally:
        _available.reset(token)


def accelerated_kl(p: Gaussian, q: Gaussian) -> Tensor | None:
    """The Kullback–Leibler divergence by a kernel; None if the reference formula is to answer."""
    kernel_and_inputs = _kernel("kl", p, q)
    if kernel_and_inputs is not None:
        return autograd.kl(*kernel_and_inputs)
    return low_rank_kernel.kl(p, q, _diagonal_kl) if _why_not_low_rank(p, q) is None else None


def _diagonal_kl(p: Gaussian, q: Gaussian) -> Tensor:
    value = accelerated_kl(p, q)
    return diagonal_pair(p, q).kl() if value is None else value


def _why_not_low_rank(p: Gaussian, q: Gaussian) -> str | None:
    """Why a pair is not computed by the low-rank kernel, which is one of the backend ``torch``; None if it is."""
    if LowRank not in (type(p.scale), type(q.scale)):
        return "no low-rank covariance"
    transform = active_transform()
    if transform or all(backend.name != "torch" for backend in _available.get().backends):
        return transform or "the backend torch is not allowed"
    return low_rank_kernel.unsupported_reason(p, q)


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
    backends = _available.get().backends
    if not backends[0].kernels:
        return None
    inputs = _readable_inputs(p, q)
    if isinstance(inputs, str):
        return None
    _, kernel, _ = _first_that_may(backends, work, inputs)
    return None if kernel is None else (kernel, inputs)


def _first_that_may(backends: Sequence[Backend], work: Work, inputs: Inputs) -> tuple[str, Kernel | None, list[str]]:
    """The backend that computes this, its kernel (the reference formula has none), and why those before it do not."""
    scale = inputs.tensors[1]
    d = scale.shape[-1] if scale.ndim else 1
    reasons: list[str] = []
    for backend in backends:
        for kernel in backend.kernels:
            reason = kernel.unsupported_reason(work, inputs.parameterization, d)
            if reason is None:
                return backend.name, kernel, reasons
            reasons.append(f"{backend.name} takes {reason}")
    return "reference", None, reasons


def _readable_inputs(p: Gaussian, q: Gaussian) -> Inputs | str:
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
        ``Selection(backend, reason)``: ``"native"``, ``"torch"`` or ``"reference"``, and why it is not a faster one.

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
    if _why_not_low_rank(p, q) is None:
        return Selection("torch", "the only kernel of low-rank covariances")
    inputs, allowed = _readable_inputs(p, q), current()
    if isinstance(inputs, str):
        return Selection("reference", inputs if allowed.backends[0].kernels else allowed.reason)
    name, _, reasons = _first_that_may(allowed.backends, "kl", inputs)
    return Selection(name, "; ".join(filter(None, [allowed.reason, *reasons])) or "the fastest there is")
