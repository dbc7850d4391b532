r"""The Hellinger distance, from the Bhattacharyya distance B: its square is :math:`1 - e^{-B}`."""

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.divergences.renyi import of_order
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.elementary import square_root
from kullback.pairs.dispatch import make_pair


@divergence
def hellinger(p: Gaussian, q: Gaussian, *, squared: bool = False) -> Tensor:
    r"""The Hellinger distance :math:`\sqrt{1 - \int \sqrt{p q}}`, between 0 and 1; a metric.

    Some authors leave out the factor that makes its maximum 1; here :math:`H^2 = \tfrac12 \int (\sqrt p - \sqrt q)^2`.

    Nothing cancels near p = q.

    Gradient:
        A distance has no derivative at p = q; the subgradient given there is 0. The squared distance is smooth.

    Args:
        p: Gaussians, or what :func:`as_gaussian` converts to them.
        q: the same.
        squared: the square of the distance instead.

    Reference:
        E. Hellinger, Neue Begründung der Theorie quadratischer Formen von unendlichvielen Veränderlichen, Journal für
        die reine und angewandte Mathematik 136, 1909.

    Example:
        >>> from kullback import Gaussian, hellinger
        >>> round(float(hellinger(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0]))), 6)
        0.627271
    """
    return from_bhattacharyya(0.5 * of_order(make_pair(p, q), 0.5), squared=squared)


def from_bhattacharyya(distance: Tensor, *, squared: bool = False) -> Tensor:
    """The Hellinger distance of Gaussians that have this Bhattacharyya distance."""
    affinity = torch.exp(-distance)
    # Its derivative is taken from the exponential: that of expm1 is formed by adding 1, and drowns in it far apart.
    square = affinity.detach() - affinity - torch.expm1(-distance.detach())
    return square if squared else square_root(square)
