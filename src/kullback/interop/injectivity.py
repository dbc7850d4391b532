"""Whether transforms of torch are one-to-one on the points that they are applied to.

What torch declares, ``bijective``, is of the domain of a transform alone: a power is bijective on positive numbers, and
not on those of a Normal, and an affine map by 0 is declared to be bijective, too.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    AffineTransform,
    Distribution,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
    Transform,
    constraints,
)

from kullback.numerics.guard import may_read_values

# The least and the greatest value of points; None if they are no interval of numbers, or cannot be read.
Bounds = tuple[Tensor, Tensor] | None


_MONOTONE = (AffineTransform, ExpTransform, PowerTransform, SigmoidTransform, SoftplusTransform, TanhTransform)


def is_one_to_one(chain: Sequence[Transform], base: Distribution) -> bool:
    """Whether transforms, one after another, map the points of a distribution one-to-one."""
    try:
        points: Any = base.support
    except NotImplementedError:  # it does not declare its support
        points = None
    points = _simple(points)
    bounds = _bounds(points)
    for t in chain:
        if not t.bijective or is_constant(t) or not _contains(t.domain, points, bounds):
            return False
        points = _simple(t.codomain)
        bounds = _image(t, bounds) or _bounds(points)
    return True


def is_constant(t: Transform) -> bool:
    """Whether a map is by a factor or an exponent of 0 in some coordinate, as far as that can be read."""
    factor = t.scale if isinstance(t, AffineTransform) else t.exponent if isinstance(t, PowerTransform) else 1.0
    if isinstance(factor, Tensor) and not may_read_values(factor):
        return False
    # Those of a CatTransform or a StackTransform.
    return bool((torch.as_tensor(factor) == 0).any()) or any(map(is_constant, getattr(t, "transforms", ())))


def _contains(domain: Any, points: Any, bounds: Bounds) -> bool:
    domain = _simple(domain)
    parts = getattr(domain, "cseq", None)
    if parts is not None:
        return all(_contains(part, points, bounds) for part in parts)
    if domain is constraints.real:
        return True
    own = _bounds(domain)
    if own is None:
        return type(domain) is type(points)
    return bounds is not None and bool(((own[0] <= bounds[0]) & (bounds[1] <= own[1])).all())


def _simple(constraint: Any) -> Any:
    """A constraint of one number, or of what is none, without dimensions that were made coordinates."""
    while hasattr(constraint, "base_constraint"):
        constraint = constraint.base_constraint
    return constraint


def _bounds(constraint: Any) -> Bounds:
    if constraint is constraints.real:
        return torch.tensor(-math.inf), torch.tensor(math.inf)
    given = [getattr(constraint, name, None) for name in ("lower_bound", "upper_bound")]
    if given == [None, None] or any(isinstance(x, Tensor) and not may_read_values(x) for x in given):
        return None
    low, high = (end if x is None else x for x, end in zip(given, (-math.inf, math.inf), strict=True))
    return torch.as_tensor(low), torch.as_tensor(high)


def _image(t: Transform, bounds: Bounds) -> Bounds:
    """The bounds of the images, where ``t`` is monotone, more closely than its codomain."""
    if bounds is None or not (isinstance(t, _MONOTONE) or isinstance(t.inv, _MONOTONE)):
        return None
    values = (
        (t.loc, t.scale) if isinstance(t, AffineTransform) else (t.exponent,) if isinstance(t, PowerTransform) else ()
    )
    if any(isinstance(x, Tensor) and not may_read_values(x) for x in values):
        return None
    ends = [t(x) for x in bounds]
    return torch.minimum(*ends), torch.maximum(*ends)
