"""The pairs that ``torch.distributions.kl_divergence`` lacks."""

from itertools import product
from typing import Any

from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal
from torch.distributions.kl import _KL_REGISTRY, register_kl

from kullback.divergences.kl import kl_divergence

_KINDS = (Independent, MultivariateNormal, LowRankMultivariateNormal)


def register_with_torch() -> list[tuple[type, type]]:
    """Teach ``torch.distributions.kl_divergence`` the Gaussian pairs that it refuses.

    Diagonal (``Independent``), full and low-rank Gaussians make nine pairs, of which torch 2.13 has five. Only what is
    missing is added, for the running process; what torch has stays torch's. Calling it again adds nothing.

    Returns:
        The pairs of types that were added.

    Example:
        >>> import torch
        >>> from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
        >>> from kullback import register_with_torch
        >>> added = register_with_torch()
        >>> p = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
        >>> kl_divergence(p, MultivariateNormal(torch.ones(2), torch.eye(2)))
        tensor(1.)
        >>> register_with_torch()
        []
    """
    missing = [pair for pair in product(_KINDS, _KINDS) if pair not in _KL_REGISTRY]
    for p, q in missing:
        register_kl(p, q)(_kl)
    return missing


def _kl(p: Any, q: Any) -> Any:
    return kl_divergence(p, q)
