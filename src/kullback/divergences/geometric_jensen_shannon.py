r"""The geometric Jensen–Shannon divergence.

The normalized geometric mean of two Gaussians is a Gaussian, so it has a closed form where the arithmetic one has none:

.. math:: (1-w) D(p \| g) + w D(q \| g) = w (1-w) [D(p \| q) + D(q \| p)] - w D_{1-w}(p \| q),
    \qquad g \propto p^{1-w} q^w ,

with the Rényi divergence :math:`D_{1-w}`. Near p = q the difference is half of the first term.
"""

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.divergences.renyi import of_order
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.base import jeffreys_terms
from kullback.pairs.dispatch import make_pair


@divergence
def geometric_jensen_shannon(p: Gaussian, q: Gaussian, *, weight: float = 0.5) -> Tensor:
    r"""The geometric Jensen–Shannon divergence, in nats: from p and q to the geometric mean between them.

    .. math:: (1-w) D(p \,\|\, g) + w D(q \,\|\, g), \qquad g \propto p^{1-w} q^w

    Symmetric at w = ½. Unlike the Jensen–Shannon divergence (which has no closed form for Gaussians) it is not bounded
    by log 2.

    Args:
        p: Gaussians, or what :func:`as_gaussian` converts to them.
        q: the same.
        weight: the weight w of q, strictly between 0 and 1.

    Raises:
        ValueError: if the weight is not between 0 and 1.

    Reference:
        F. Nielsen, On the Jensen–Shannon symmetrization of distances relying on abstract means, Entropy 21, 2019.

    Example:
        >>> from kullback import Gaussian, geometric_jensen_shannon
        >>> float(geometric_jensen_shannon(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0])))
        0.5
    """
    if not 0.0 < weight < 1.0:
        raise ValueError(f"weight is a number between 0 and 1, got {weight!r}.")
    there, back = make_pair(p, q), make_pair(q, p)
    jeffreys = jeffreys_terms(there, back)
    skewed = of_order(there, 1.0 - weight)
    finite = torch.isfinite(skewed)
    return weight * (1.0 - weight) * jeffreys - weight * torch.where(finite | jeffreys.isnan(), skewed, 0.0)
