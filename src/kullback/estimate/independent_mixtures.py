"""Points whose coordinates are independent, each from a mixture of Gaussians: the product of the marginals of one."""

from typing import Any

import torch
from torch import Tensor, distributions

from kullback.errors import ShapeError
from kullback.estimate.adapted import Adapted
from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.mixture import Mixture
from kullback.interop.registry import convert
from kullback.numerics.arrays import ArrayKind, from_callers_type


class IndependentMixtures(Adapted):
    """The product of d mixtures of numbers, a density of vectors. Each is evaluated by itself, in little memory."""

    array_kind = ArrayKind.TORCH

    def __init__(self, each: Mixture) -> None:
        """Of a batch ``(d,)`` of mixtures without event dimensions."""
        places = range(len(each.components))
        self._each = [Mixture.from_logits(each.log_weights[k], each.components[k]) for k in places]
        self.event_shape = each.batch_shape

    @classmethod
    def of_marginals(cls, mixture: Mixture) -> "IndependentMixtures":
        """The product of the marginals of a single mixture of vectors."""
        g = mixture.components
        mean, std = (x.broadcast_to(g.batch_shape + g.event_shape).mT for x in (g.mean, g.stddev))
        return cls(Mixture.from_logits(mixture.log_weights, Gaussian.from_std(mean, std, event_dims=0)))

    def log_prob(self, x: Tensor) -> Tensor:
        """The sum of the log-densities of the coordinates.

        Raises:
            ShapeError: for points of other coordinates than there are mixtures.
        """
        if x.shape[-1:] != self.event_shape:
            raise ShapeError(
                f"a product of {len(self._each)} mixtures of numbers got points of shape {tuple(x.shape)}: their last "
                f"dimension must be its {len(self._each)} coordinates."
            )
        each = [from_callers_type(m.log_prob(x[..., k])) for k, m in enumerate(self._each)]
        return torch.stack(each).sum(0)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Points of which each coordinate is drawn by itself; they do not follow the parameters."""
        return torch.stack([from_callers_type(m.sample(n)) for m in self._each], -1)


def from_torch(x: Any, name: str) -> Any:
    """An Independent of torch over a single batch of mixtures of numbers as their product; everything else as it is."""
    if isinstance(x, distributions.Independent) and x.reinterpreted_batch_ndims == 1 and not x.batch_shape:
        each = convert(x.base_dist, name)
        if isinstance(each, Mixture) and not each.event_dims:
            return IndependentMixtures(each)
    return x
