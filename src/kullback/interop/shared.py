"""What the readers of several libraries share: dimensions that become coordinates, and what they refuse."""

from dataclasses import replace

from kullback.errors import NoClosedForm
from kullback.gaussians.gaussian import Gaussian


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
