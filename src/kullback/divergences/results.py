"""Results of several parts, as named tuples."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from kullback.numerics.display import table


class Bounds(NamedTuple):
    """A lower and an upper bound, each of the shape that the number itself would have."""

    lower: Any
    upper: Any

    def _repr_html_(self) -> str:
        if np.ndim(self.lower):
            return table("Bounds", {"shape": tuple(np.shape(self.lower))})
        return table("Bounds", {"proved": f"{float(self.lower):.6g} to {float(self.upper):.6g} nats"})


class KLTerms(NamedTuple):
    """The two non-negative terms of a divergence in each coordinate, in nats: ``(*batch, *event)``."""

    mean: Tensor
    """The part of the means: what the divergence would be if the scales were q's."""
    covariance: Tensor
    """The part of the scales: what the divergence would be if the means were equal."""


class KLDecomposition(NamedTuple):
    """The parts of a divergence; each is non-negative, in nats, and has the shape of the batch."""

    mean: Tensor
    """The divergence if the covariances were q's."""
    covariance: Tensor
    """The divergence if the means were equal."""
    marginal_scales: Tensor | None
    """For a diagonal q, the part of ``covariance`` that the marginals of p have against those of q."""
    total_correlation: Tensor | None
    """For a diagonal q, the rest of it: the divergence of p from the product of its own marginals."""
