"""Which body computes a divergence: the first row that may. The formula always may."""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.adapt.gaussians import as_gaussian
from kullback.common import broadcast_shapes
from kullback.gaussian import Gaussian
from kullback.kernels import diagonal, factored, full, function, library, tiled
from kullback.kernels.function import Operands
from kullback.kernels.guard import content, surroundings
from kullback.kernels.layout import Kind
from kullback.scale.diagonal import Diagonal


class Body(NamedTuple):
    """A way of computing: modules, of which the first that serves a pair computes it; and why it is not there."""

    name: str
    modules: tuple[ModuleType, ...]
    absent: Callable[[], str | None]


BODIES = (
    Body("native", (library,), library.absent),
    Body("torch", (tiled, factored), lambda: None),
    Body("formula", (), lambda: None),
)


class Selection(NamedTuple):
    """The body that computes a pair, and why no faster one does."""

    body: str
    reason: str


class Usable(NamedTuple):
    """The bodies that may compute, in order, and why no others."""

    bodies: tuple[Body, ...]
    reason: str


def usable(forced: str | None) -> Usable:
    """The bodies that are there, or the one that is asked for; beside them the formula always answers."""
    names = [body.name for body in BODIES]
    if not forced:
        missed = [f"no {body.name}: {body.absent()}" for body in BODIES if body.absent()]
        return Usable(tuple(body for body in BODIES if not body.absent()), "; ".join(missed))
    if forced not in names:
        raise ValueError(f"KULLBACK_KERNEL is one of {', '.join(names)}, got {forced!r}.")
    body = BODIES[names.index(forced)]
    missing = body.absent()
    if missing:
        raise ValueError(f"KULLBACK_KERNEL={forced}: {missing}.")
    return Usable((body,), "asked for by KULLBACK_KERNEL")


_usable = usable(os.environ.get("KULLBACK_KERNEL"))


def kl_divergence(p: Gaussian, q: Gaussian) -> Tensor | None:
    """The Kullback–Leibler divergence by a faster body; None if the formula is to answer."""
    found = _work(p, q)
    return found if found is None else function.kl(*found)


def mean_kl(p: Gaussian, q: Gaussian, weights: Tensor | None) -> Tensor | None:
    """The mean over rows of the weighted divergence in one pass; None if the formula is to answer."""
    found = _work(p, q)
    if found is None:
        return None
    if weights is not None:
        batch = broadcast_shapes(p.batch_shape, q.batch_shape)
        if weights.requires_grad or content((found[1][0], weights)) or not _fits(weights.shape, batch):
            return None
    return function.mean_kl(*found, weights)


def _work(p: Gaussian, q: Gaussian) -> tuple[ModuleType, Operands, Kind, int] | None:
    """What computes a pair, and on what; None if the formula does."""
    if not _usable.bodies[0].modules or surroundings():
        return None
    found = _operands(p, q)
    if isinstance(found, str):
        return None
    operands, kind, _ = found
    for body in _usable.bodies:
        for module in body.modules:
            if not module.declines(kind, operands[1]):
                return module, *found
    return None


def _operands(p: Gaussian, q: Gaussian) -> tuple[Operands, Kind, int] | str:
    """What a body computes on, or why none does."""
    found = diagonal.operands(p, q) if type(p.scale) is Diagonal else full.operands(p, q)
    return found if isinstance(found, str) else content(found[0]) or found


def _fits(shape: torch.Size, batch: torch.Size) -> bool:
    """Does the one broadcast to the other?"""
    return len(shape) <= len(batch) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(batch), strict=False))


# The public functions that ask, and what they ask.
FASTER: dict[str, Callable[[Gaussian, Gaussian], Tensor | None]] = {"kl_divergence": kl_divergence}


def selected(p: Any, q: Any) -> Selection:
    """Which body computes ``kl_divergence(p, q)`` here and now, and why.

    Args:
        p: whatever ``kl_divergence`` takes.
        q: the same.

    Returns:
        ``Selection(body, reason)``: ``"native"``, ``"torch"`` or ``"formula"``, and why it is not a faster one.

    Example:
        >>> import torch
        >>> from kullback import Gaussian
        >>> from kullback.kernels import selected
        >>> p = Gaussian.from_std(torch.zeros(4, 8), torch.ones(4, 8))
        >>> selected(p, Gaussian.from_variance(torch.zeros(8), torch.ones(8))).body
        'formula'
    """
    found = surroundings() or _operands(as_gaussian(p, "p"), as_gaussian(q, "q"))
    if isinstance(found, str):
        return Selection("formula", found if _usable.bodies[0].modules else _usable.reason)
    operands, kind, _ = found
    declined = [_usable.reason] if _usable.reason else []
    for body in _usable.bodies:
        against = [module.declines(kind, operands[1]) for module in body.modules]
        if None in against or not body.modules:
            return Selection(body.name, "; ".join(declined) or "the fastest there is")
        declined += [f"{body.name} takes {reason}" for reason in against]
    return Selection("formula", "; ".join(declined))
