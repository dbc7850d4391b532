"""What two arguments of a divergence come down to together, before either is read by itself.

A change of variables on both sides changes no divergence of densities, so that squashed policies and log-normals are as
far apart as the Gaussians under them. And what is no Gaussian may have a closed form in torch.
"""

from typing import Any

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, Independent, TransformedDistribution

from kullback.interop.wrapped import have_same_settings, is_wrapper, unwrapped


def without_common_transforms(p: Any, q: Any) -> tuple[Any, Any]:
    """Both without the transforms that are the same on both sides; unchanged where there are none."""
    if is_wrapper(p) and type(p) is type(q) and have_same_settings(p, q):
        return without_common_transforms(unwrapped(p), unwrapped(q))
    split_p, split_q = _split(p), _split(q)
    if split_p is None or split_q is None:
        return p, q
    (base_p, transforms_p), (base_q, transforms_q) = split_p, split_q
    same = len(transforms_p) == len(transforms_q) and all(
        a is b or a == b for a, b in zip(transforms_p, transforms_q, strict=True)
    )
    return (base_p, base_q) if same and all(t.bijective for t in transforms_p) else (p, q)


def _split(x: Any) -> tuple[Distribution, list[distributions.Transform]] | None:
    """A transformed distribution as its base, with as many event dimensions, and its transforms one by one."""
    event_dims = len(x.event_shape) if isinstance(x, Distribution) else 0
    while isinstance(x, Independent):
        x = x.base_dist
    if not isinstance(x, TransformedDistribution):
        return None
    base = x.base_dist
    more = event_dims - len(base.event_shape)
    return (Independent(base, more) if more > 0 else base), [part for t in x.transforms for part in _parts(t)]


def _parts(transform: distributions.Transform) -> list[distributions.Transform]:
    if isinstance(transform, distributions.ComposeTransform):
        return [part for t in transform.parts for part in _parts(t)]
    return [transform]


def kl_by_torch(p: Any, q: Any) -> Tensor | None:
    """The divergence that torch has registered for two of its distributions, not both Gaussian; None if it has none."""
    if not (isinstance(p, Distribution) and isinstance(q, Distribution)):
        return None
    if _is_of_gaussians(p) and _is_of_gaussians(q):
        return None  # whose digits torch loses
    try:
        value: Tensor = torch.distributions.kl_divergence(p, q)
    except NotImplementedError:
        return None
    return value


def _is_of_gaussians(x: Distribution) -> bool:
    while isinstance(x, Independent):
        x = x.base_dist
    return isinstance(
        x, distributions.Normal | distributions.MultivariateNormal | distributions.LowRankMultivariateNormal
    )
