r"""The Rényi divergence of order α.

Between the two lies the covariance :math:`\Sigma_\alpha = \alpha \Sigma_q + (1-\alpha) \Sigma_p`, and

.. math:: D_\alpha = \frac{\alpha}{2} \Delta^\top \Sigma_\alpha^{-1} \Delta
    + \frac{1}{2(1-\alpha)} \log \frac{\det \Sigma_\alpha}{\det \Sigma_p^{1-\alpha} \det \Sigma_q^{\alpha}} .

The logarithm loses every digit as p approaches q. With K the excess (the KL divergence at equal means) it is a sum of
positive terms: :math:`K(p|m) + \tfrac{\alpha}{1-\alpha} K(q|m)` for α < 1, m having the covariance between, since the
traces of the two cancel; and :math:`K(p|q) + \tfrac{1}{\alpha-1} K(m|q)` for α > 1.
"""

import math

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.base import GaussianPair
from kullback.pairs.dispatch import make_pair


@divergence
def renyi(p: Gaussian, q: Gaussian, alpha: float) -> Tensor:
    r"""The Rényi divergence of order α of p from q, exactly, in nats.

    .. math:: D_\alpha(p \,\|\, q) = \frac{1}{\alpha - 1} \log \int p^\alpha q^{1-\alpha}

    The Kullback–Leibler divergence is the case α = 1.

    Stability:
        No cancellation near p = q for any order, and none as α approaches 0 or 1. +inf, by convention, where the
        integral diverges: α > 1 and p too wide for q.

    Args:
        p: Gaussians, or what :func:`as_gaussian` converts to them.
        q: the same.
        alpha: the order, a number from 0 up.

    Raises:
        ValueError: if alpha is negative, infinite or NaN.

    Reference:
        A. Rényi, On measures of entropy and information, Proceedings of the Fourth Berkeley Symposium, 1961.
        T. van Erven and P. Harremoës, Rényi divergence and Kullback–Leibler divergence, IEEE Transactions on
        Information Theory 60, 2014.

    Example:
        >>> from kullback import Gaussian, renyi
        >>> float(renyi(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([2.0], [1.0]), alpha=0.5))
        1.0
        >>> float(renyi(Gaussian.from_std([0.0], [2.0]), Gaussian.from_std([0.0], [1.0]), alpha=2.0))
        inf
    """
    return of_order(make_pair(p, q), order(alpha))


def order(alpha: float) -> float:
    """A valid order."""
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not (0.0 <= alpha < math.inf):
        raise ValueError(f"alpha is a number from 0 up, got {alpha!r}.")
    return float(alpha)


def of_order(pair: GaussianPair, alpha: float) -> Tensor:
    """The Rényi divergence of a pair."""
    if alpha == 1.0:
        return pair.covariance_term() + pair.mean_term()
    if alpha == 0.0:
        return 0.0 * (pair.covariance_term() + pair.mean_term())
    gap, square = pair.between(alpha)
    finite = torch.isfinite(gap)
    return torch.where(finite, gap, gap.detach()) + alpha * square
