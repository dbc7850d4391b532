"""What two arguments of a divergence come down to together, before either is read by itself.

A change of variables on both sides changes no divergence of densities, so that squashed policies and log-normals are as
far apart as the Gaussians under them. And what is no Gaussian may have a closed form in torch.
"""

from typing import Any

import torch
from torch import Tensor, distributions
from torch.distributions import Distribution, Independent

from kullback.interop.changes import image, is_folded, split, without_common_end
from kullback.interop.shared import has_density_of_its_own
from kullback.interop.wrapped import have_same_settings, is_wrapper, unwrapped


def without_common_transforms(p: Any, q: Any) -> tuple[Any, Any]:
    """Both without the transforms that they end in alike; unchanged where there are none."""
    p, q = both_unwrapped(p, q)
    split_p, split_q = split(p), split(q)
    if split_p is None or split_q is None:
        return p, q
    (base_p, chain_p), (base_q, chain_q) = split_p, split_q
    chain_p, chain_q, common = without_common_end(chain_p, chain_q)
    return (image(base_p, chain_p), image(base_q, chain_q)) if common else (p, q)


def both_unwrapped(p: Any, q: Any) -> tuple[Any, Any]:
    """What two objects of one type and settings hold, which may be in other coordinates; others unchanged."""
    while is_wrapper(p) and type(p) is type(q) and have_same_settings(p, q):
        p, q = unwrapped(p), unwrapped(q)
    return p, q


def kl_by_torch(p: Any, q: Any) -> Tensor | None:
    """The divergence that torch has registered for two of its distributions, not both Gaussian; None if it has none.

    None also where torch takes a distribution for what it is not: the image by a many-to-one map for one by a change of
    variables, and what has a log-density of its own for the class that it is derived from.
    """
    if not (isinstance(p, Distribution) and isinstance(q, Distribution)):
        return None
    if any(has_density_of_its_own(x) or is_folded(x) for x in (p, q)):
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
