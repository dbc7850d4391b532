"""Objects that hold a distribution of torch as ``.distribution``, as the policies of Stable-Baselines3 do."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.distributions import Distribution, Independent

from kullback.errors import NoClosedForm


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Any:
    """The distribution inside, if the densities of the object are its.

    Raises:
        NoClosedForm: if they are not, as those of a squashed policy.
    """
    if not is_wrapper(x):
        return None
    inside = unwrapped(x)
    converted = convert(inside, name)
    if converted is not None and not _has_density_of(x, inside):
        raise NoClosedForm(
            f"{name} is a {type(x).__name__}, whose densities are not those of its {type(x.distribution).__name__}: it "
            "changes the variables. Against another of the same type and settings the divergence is that of what both "
            "hold; against anything else estimate it: kl_estimate(p, q)."
        )
    return converted


def is_wrapper(x: Any) -> bool:
    """Whether an object is no distribution itself, but has one and a log-density."""
    return (
        not isinstance(x, Distribution)
        and isinstance(getattr(x, "distribution", None), Distribution)
        and callable(getattr(x, "log_prob", None))
    )


def have_same_settings(p: Any, q: Any) -> bool:
    """Whether two objects of one type change the variables alike, such as by the same bounds of actions.

    The numbers, texts and arrays that they hold are equal; and p, given the distribution of q, has the log-densities of
    q, so that so are the tensors and objects that p and q hold and compute with. False where this cannot be told.
    """
    mine, theirs = (getattr(x, "__dict__", {}) for x in (p, q))
    settings = (bool, int, float, str, tuple, np.ndarray)
    held = {name: value for name, value in mine.items() if isinstance(value, settings)}
    if not all(np.array_equal(value, theirs.get(name, np.nan)) for name, value in held.items()):
        return False
    try:
        other = copy.copy(p)
        other.distribution = q.distribution
    except (AttributeError, TypeError):
        return False
    pairs = [(_log_prob(other, point), _log_prob(q, point)) for point in _points(q)]
    values = [(a, b) for a, b in pairs if a is not None and b is not None]
    same = all(torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in values)
    return len(values) == sum(b is not None for _, b in pairs) > 0 and same


def unwrapped(x: Any) -> Distribution:
    """The distribution, of which those dimensions are an event over which the object adds up log-densities.

    Raises:
        NoClosedForm: if the object has no log-densities at any point that was tried.
    """
    inside: Distribution = x.distribution
    points = _points(x)
    value = next((found for found in (_log_prob(x, point) for point in points) if found is not None), None)
    if value is None:
        raise NoClosedForm(
            f"a {type(x).__name__} holds a {type(inside).__name__}, but its log_prob gives no tensor at points that "
            "are drawn from that. Pass what it holds, .distribution, if that is meant."
        )
    more = inside.log_prob(points[0]).ndim - value.ndim
    return Independent(inside, more) if more > 0 else inside


def _has_density_of(x: Any, inside: Distribution) -> bool:
    point = _points(x)[0]
    value = _log_prob(x, point)
    with torch.no_grad():
        return value is not None and bool(torch.allclose(value, inside.log_prob(point), rtol=1e-3, atol=1e-3))


def _points(x: Any) -> list[Tensor]:
    """Points at which to ask an object for log-densities, without a trace in torch's generators.

    The first is of the distribution that it holds; points nearer to 0 may lie within bounds that this one does not, and
    what the object draws itself does.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        point = x.distribution.sample()
        points = [point, 0.3 * point, 0.01 * point] if point.is_floating_point() else [point]
        try:
            drawn = copy.copy(x).sample()
        except Exception:  # of code of others, which may want arguments
            return points
        return [*points, drawn] if isinstance(drawn, Tensor) else points


def _log_prob(x: Any, point: Tensor) -> Tensor | None:
    """What the object says; None if it fails there, as a validating distribution does outside of its support."""
    try:
        with torch.no_grad():
            value = x.log_prob(point)
    except Exception:  # of code of others
        return None
    return value if isinstance(value, Tensor) else None
