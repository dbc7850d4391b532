r"""Jeffreys' divergence: both directions of the Kullback–Leibler divergence, a sum of non-negative terms."""

from torch import Tensor

from kullback.divergences.api import divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.base import jeffreys_terms
from kullback.pairs.dispatch import make_pair


@divergence
def jeffreys(p: Gaussian, q: Gaussian) -> Tensor:
    r"""Jeffreys' divergence :math:`D(p \,\|\, q) + D(q \,\|\, p)`, in nats.

    Some authors take half of it; this is the sum. Its accuracy is that of :func:`kl_divergence`.

    Reference:
        H. Jeffreys, An invariant form for the prior probability in estimation problems, Proceedings of the Royal
        Society A 186, 1946.

    Example:
        >>> from kullback import Gaussian, jeffreys
        >>> float(jeffreys(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([1.0], [1.0])))
        1.0
    """
    there, back = make_pair(p, q), make_pair(q, p)
    return jeffreys_terms(there, back)
