"""Objects that hold a distribution of torch as ``.distribution``, as the policies of Stable-Baselines3 do."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
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
    """Whether all numbers, texts and arrays are equal that two objects of one type hold, such as the bounds of actions.

    Tensors may differ: they are what the distributions are made of.
    """
    mine, theirs = (getattr(x, "__dict__", {}) for x in (p, q))
    settings = (bool, int, float, str, tuple, np.ndarray)
    held = {name: value for name, value in mine.items() if isinstance(value, settings)}
    return all(np.array_equal(value, theirs.get(name, np.nan)) for name, value in held.items())


def unwrapped(x: Any) -> Distribution:
    """The distribution, of which those dimensions are an event over which the object adds up log-densities."""
    inside: Distribution = x.distribution
    point = _point(inside)
    more = inside.log_prob(point).ndim - x.log_prob(point).ndim
    return Independent(inside, more) if more > 0 else inside


def _has_density_of(x: Any, inside: Distribution) -> bool:
    point = _point(inside)
    with torch.no_grad():
        return bool(torch.allclose(x.log_prob(point), inside.log_prob(point), rtol=1e-3, atol=1e-3))


def _point(inside: Distribution) -> torch.Tensor:
    """A point of the support, without a trace in torch's generators."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        return inside.sample()
