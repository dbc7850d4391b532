r"""Pearson's χ² divergence, from the Rényi divergence of order 2: :math:`e^{D_2} - 1`."""

import torch
from torch import Tensor

from kullback.divergences.api import divergence
from kullback.divergences.renyi import of_order
from kullback.gaussians.gaussian import Gaussian
from kullback.pairs.dispatch import make_pair


@divergence
def chi_squared(p: Gaussian, q: Gaussian) -> Tensor:
    r"""Pearson's χ² divergence of p from q.

    .. math:: \chi^2(p \,\|\, q) = \int \frac{(p - q)^2}{q} = e^{D_2(p \| q)} - 1

    +inf where the integral diverges: where p's variance is at least twice q's in some direction.
    Nothing cancels near p = q.

    Reference:
        K. Pearson, On the criterion that a given system of deviations from the probable in the case of a correlated
        system of variables is such that it can be reasonably supposed to have arisen from random sampling,
        Philosophical Magazine 50, 1900.

    Example:
        >>> from kullback import Gaussian, chi_squared
        >>> round(float(chi_squared(Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([1.0], [1.0]))), 6)
        1.718282
    """
    return torch.expm1(of_order(make_pair(p, q), 2.0))
