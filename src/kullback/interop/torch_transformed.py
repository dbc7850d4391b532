"""``torch.distributions`` TransformedDistribution: an affine image of a Gaussian is a Gaussian."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import AffineTransform, ComposeTransform, Transform, TransformedDistribution

from kullback.gaussians.gaussian import Gaussian
from kullback.gaussians.scales.diagonal import Diagonal
from kullback.interop.injectivity import is_constant
from kullback.numerics.tensors import broadcast_shapes


def read(x: Any, name: str, convert: Callable[[Any, str], Any]) -> Gaussian | None:
    """The image; None for other transforms and bases."""
    if not isinstance(x, TransformedDistribution):
        return None
    maps = [_affine(t) for t in x.transforms]
    base = convert(x.base_dist, name) if all(maps) else None
    if not isinstance(base, Gaussian):
        return None
    for each in maps:
        assert each is not None
        base = _image(base, *each)
    return base


def _affine(transform: Transform) -> tuple[Any, Any] | None:
    """The shift and the factor of a transform; None if it is not affine and invertible coordinate by coordinate."""
    if isinstance(transform, AffineTransform) and not is_constant(transform):
        return transform.loc, transform.scale
    if isinstance(transform, ComposeTransform):
        shift, factor = 0.0, 1.0
        for part in transform.parts:
            inner = _affine(part)
            if inner is None:
                return None
            shift, factor = inner[0] + inner[1] * shift, inner[1] * factor
        return shift, factor
    return None


def _image(g: Gaussian, shift: Any, factor: Any) -> Gaussian:
    mean = shift + factor * g.mean
    size = abs(factor)
    if isinstance(g.scale, Diagonal):
        by_kind: dict[str, Callable[[Tensor], Tensor]] = {
            "std": lambda s: size * s,
            "variance": lambda v: size * size * v,
            "logvar": lambda x: x + 2.0 * torch.as_tensor(size, dtype=x.dtype, device=x.device).log(),
        }
        scale = g.scale if g.scale.parameterization in by_kind else g.scale.to("logvar")
        value = by_kind[scale.parameterization](scale.value)
        return Gaussian(mean, Diagonal(value, scale.parameterization), g.event_dims)
    factors = torch.as_tensor(factor, dtype=mean.dtype, device=mean.device)
    factors = factors.broadcast_to(broadcast_shapes(factors.shape, mean.shape[-1:]))
    return Gaussian.from_covariance(
        mean, factors[..., :, None] * g.covariance_matrix * factors[..., None, :], validate=False
    )
