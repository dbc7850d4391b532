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
from kullback.kernels import diagonal, full, function, library, tiled
from kullback.kernels.function import Operands
from kullback.kernels.guard import content, surroundings
from kullback.kernels.layout import Kind
from kullback.scale.diagonal import Diagonal


class Body(NamedTuple):
    """A way of computing, and why it is not there (None if it is)."""

    name: str
    module: ModuleType | None
    absent: Callable[[], str | None]


BODIES = (
    Body("native", library, library.absent),
    Body("torch", tiled, lambda: None),
    Body("formula", None, lambda: None),
)


class Selection(NamedTuple):
    """The body that computes a pair, and why no faster one does."""

    body: str
    reason: str


class Chosen(NamedTuple):
    """The first body that is there, and why it is this one."""

    module: ModuleType | None
    name: str
    reason: str


def usable(forced: str | None) -> Chosen:
    """The first body that is there, or the one that is asked for."""
    names = [body.name for body in BODIES]
    if forced:
        if forced not in names:
            raise ValueError(f"KULLBACK_KERNEL is one of {', '.join(names)}, got {forced!r}.")
        body = BODIES[names.index(forced)]
        missing = body.absent()
        if missing:
            raise ValueError(f"KULLBACK_KERNEL={forced}: {missing}.")
        return Chosen(body.module, body.name, "asked for by KULLBACK_KERNEL")
    missed = [f"no {body.name}: {body.absent()}" for body in BODIES if body.absent()]
    body = next(body for body in BODIES if not body.absent())
    return Chosen(body.module, body.name, "; ".join(missed) or "the fastest there is")


_chosen = usable(os.environ.get("KULLBACK_KERNEL"))


def kl_divergence(p: Gaussian, q: Gaussian) -> Tensor | None:
    """The Kullback–Leibler divergence by a faster body; None if the formula is to answer."""
    if _chosen.module is None or surroundings():
        return None
    found = _operands(p, q)
    return None if isinstance(found, str) else function.kl(_chosen.module, *found)


def mean_kl(p: Gaussian, q: Gaussian, weights: Tensor | None) -> Tensor | None:
    """The mean over rows of the weighted divergence in one pass; None if the formula is to answer."""
    if _chosen.module is None or surroundings():
        return None
    found = _operands(p, q)
    if isinstance(found, str):
        return None
    if weights is not None:
        batch = broadcast_shapes(p.batch_shape, q.batch_shape)
        if weights.requires_grad or content((found[0][0], weights)) or not _fits(weights.shape, batch):
            return None
    return function.mean_kl(_chosen.module, *found, weights)


def _operands(p: Gaussian, q: Gaussian) -> tuple[Operands, Kind, int] | str:
    """What the chosen body computes on, or why it does not."""
    found = diagonal.operands(p, q) if type(p.scale) is Diagonal else full.operands(p, q)
    if isinstance(found, str):
        return found
    against = content(found[0])
    if against:
        return against
    if _chosen.module is not None and found[1] not in _chosen.module.KINDS:
        return f"{_chosen.name} does not serve {found[1]}"
    return found


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
    against = found if isinstance(found, str) else None
    if _chosen.module is None or not against:
        return Selection(_chosen.name, _chosen.reason)
    return Selection("formula", against)
