"""What classes of a library an object is of, told by their names, and what the readers of several libraries share."""

from dataclasses import replace
from typing import Any

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian


def class_names(x: Any, library: str) -> set[str]:
    """The names of those classes among the ancestors of an object that are defined in a library."""
    return {base.__name__ for base in type(x).__mro__ if base.__module__.split(".")[0] == library}


def with_more_event_dims(g: Gaussian, more: int, name: str) -> Gaussian:
    """A Gaussian of which the last ``more`` dimensions of the batch are coordinates, too.

    Raises:
        NoClosedForm: unless its coordinates are independent.
    """
    if more and not g.scale.is_diagonal:
        raise NoClosedForm(
            f"{name} is {more} dimensions of independent multivariate Gaussians. Their divergences add up: sum those "
            "of the base distributions over these dimensions."
        )
    return replace(g, event_dims=g.event_dims + more)
