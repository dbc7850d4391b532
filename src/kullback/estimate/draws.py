"""Objects that are no distributions of torch: points by ``sample``, called as its signature says, and ``log_prob``."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kullback.errors import ShapeError
from kullback.numerics.arrays import from_callers_type
from kullback.numerics.foreign_arrays import is_array

# First parameters that are a shape, as torch has it, and those that are neither a shape nor a number of points.
_SHAPES = ("sample_shape", "shape")
_GENERATORS = ("key", "rng_key", "seed", "rng", "generator", "random_state")


def draw_points(distribution: Any, n: int, name: str) -> Tensor:
    """``n`` points, ``(n, *event)``.

    ``sample(n)`` and ``sample((n,))`` return them; ``sample()`` returns one, and is called n times. Flows return the
    points and their log-densities.

    Raises:
        TypeError: if ``sample`` takes or returns something else.
        ShapeError: if it returns another number of points.
    """
    sample = distribution.sample
    what, call = _calling(sample, n, name)
    if call is None:
        return torch.stack([_points(sample(), name, what) for _ in range(n)])
    points = _points(call(), name, what)
    if not points.ndim or len(points) != n:
        raise ShapeError(
            f"{what} of {name} returned an array of shape {tuple(points.shape)}; expected {n} points, ({n}, *event)."
        )
    return points


def log_densities(distribution: Any, x: Tensor, name: str) -> Tensor:
    """The log-densities at points ``(n, *batch, *event)``, one draw at a time where those of many are others.

    A ``log_prob`` that adds over ``dim=1`` is right for a draw ``(batch, d)``, and adds over the batch of many draws.

    Raises:
        ValueError: if there are several numbers for each of many draws, and none for one draw alone.
    """
    together = from_callers_type(distribution.log_prob(x))
    if x.ndim < 3 or together.ndim < 2:
        return together
    try:
        alone = log_densities(distribution, x[0], name)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"log_prob of {name} gave {tuple(together.shape)} numbers at {len(x)} draws of shape {tuple(x.shape[1:])}, "
            "and fails for one draw, so that it is not known what they are of. Add over the last dimension, .sum(-1)."
        ) from error
    if together.shape == (len(x), *alone.shape) and torch.allclose(
        together[0].double(), alone.double(), rtol=1e-3, atol=1e-3, equal_nan=True
    ):
        return together
    return torch.stack([alone, *(log_densities(distribution, draw, name) for draw in x[1:])])


def _calling(sample: Callable[..., Any], n: int, name: str) -> tuple[str, Callable[[], Any] | None]:
    """How to draw ``n`` points, in words and as a function; None for the function if each call draws one point."""
    try:
        parameters = [p for p in inspect.signature(sample).parameters.values() if p.kind is not p.VAR_KEYWORD]
    except (TypeError, ValueError):  # written in another language
        return f"sample({n})", lambda: sample(n)
    if not parameters:
        return "sample()", None
    first = parameters[0]
    if first.name in _GENERATORS:
        raise TypeError(
            f"sample of {name} takes {first.name!r} first, and no number of points: kullback draws with sample(n). "
            f"Wrap it in an object with log_prob(x) and sample(n), or pass samples of {name}."
        )
    given: Any = (n,) if first.name in _SHAPES else n
    if first.kind is first.KEYWORD_ONLY:
        return f"sample({first.name}={given})", lambda: sample(**{first.name: given})
    return f"sample({given})", lambda: sample(given)


def _points(returned: Any, name: str, what: str) -> Tensor:
    points = returned[0] if isinstance(returned, tuple) and returned else returned
    if not is_array(points):
        raise TypeError(
            f"{what} of {name} returned {type(returned).__name__}; expected an array of points, or a pair (points, "
            "log-densities) as flows return."
        )
    return from_callers_type(points)
