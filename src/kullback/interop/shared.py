"""What the readers of several libraries share: whose density it is, dimensions that become coordinates, refusals."""

import functools
from dataclasses import replace
from typing import Any

from torch.distributions import Distribution, Independent

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian


def has_density_of_its_own(x: Any) -> bool:
    """Whether it is of a class derived from one of torch's, such as a truncated Normal, that overrides log_prob."""
    while isinstance(x, Independent) and type(x).log_prob is Independent.log_prob:
        x = x.base_dist
    kind: Any = type(x)
    return isinstance(x, Distribution) and _overrides_log_prob(kind)


# Whose classes have the densities that their names say.
_LIBRARIES = {"torch", "pyro", "gpytorch"}


@functools.cache
def _overrides_log_prob(kind: type) -> bool:
    written = [base for base in kind.__mro__ if base is not Distribution and "log_prob" in vars(base)]
    libraries = [base.__module__.partition(".")[0] for base in written]
    return bool(libraries) and libraries[0] not in _LIBRARIES and bool(_LIBRARIES & set(libraries))


def with_more_event_dims(g: Gaussian, more: int, name: str) -> Gaussian:
    """A Gaussian of which the last ``more`` dimensions of the batch are coordinates, too.

    Raises:
        NoClosedForm: unless its coordinates are independent.
    """
    if more and not g.scale.is_diagonal:
        raise independent_multivariate(name)
    return replace(g, event_dims=g.event_dims + more)


def independent_multivariate(name: str) -> NoClosedForm:
    """The error for multivariate Gaussians whose batch dimensions were made coordinates."""
    return NoClosedForm(
        f"{name} is a number of independent multivariate Gaussians. Their divergences add up: sum those of the base "
        "distributions over the dimensions that were made coordinates."
    )


def masked(name: str) -> NoClosedForm:
    """The error for a distribution some of whose rows are masked."""
    return NoClosedForm(
        f"{name} is a MaskedDistribution, which is no density where it is masked. Pass {name}.base_dist, and leave out "
        "the rows that are masked."
    )
