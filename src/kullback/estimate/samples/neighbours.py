r"""Entropy and divergence from distances to nearest neighbours.

With :math:`\rho` the distance of a row of x to its k-th nearest neighbour among the other rows of x, :math:`\nu` the
same among the rows of y, and :math:`V_d` the volume of the unit ball: the entropy estimate of Kozachenko and Leonenko
is :math:`d \,\overline{\log \rho} + \log V_d + \psi(n) - \psi(k)`, and the divergence estimate of Wang, Kulkarni and
Verdú is :math:`d \,\overline{\log (\nu / \rho)} + \log \tfrac m{n - 1}`.

References:
    L. F. Kozachenko and N. N. Leonenko, Sample estimate of the entropy of a random vector, Problems of Information
    Transmission 23, 1987. Q. Wang, S. R. Kulkarni and S. Verdú, Divergence estimation for multidimensional densities
    via k-nearest-neighbor distances, IEEE Transactions on Information Theory 55, 2009.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.estimate.samples.distances import nearest_distances
from kullback.estimate.samples.result import Step

# With more rows than the first number, only a random subset of the second number of rows is used as query points.
ALL_QUERIED, QUERIES = 20_000, 5_000

# The number of neighbours of an estimate, and of the two further estimates whose difference reveals a bias.
K, _FEW, _MANY = 5, 1, 10


NO_DENSITY = (
    "rows that repeat have no density, so distances to neighbours are no estimate. For counts or classes compare "
    "frequencies; to measurements that were rounded to whole numbers add a random number from -0.5 to 0.5; for samples "
    'of a Gaussian pass method="gaussian".'
)


def neighbour_numbers(most: int) -> tuple[int, int, int]:
    """Few, the usual number and many neighbours, where there are at most ``most``."""
    return (_FEW, min(K, most), min(_MANY, most))


def query_rows(n: int, generator: torch.Generator) -> Tensor | slice:
    """The indices of the rows whose neighbours are searched: all, or a random subset of a large sample."""
    return torch.randperm(n, generator=generator)[:QUERIES].sort().values if n > ALL_QUERIED else slice(None)


def divergence(x: Tensor, y: Tensor, ks: Sequence[int], queries: Tensor | slice, step: Step | None = None) -> Tensor:
    """The terms whose mean over rows is the divergence estimate of Wang, Kulkarni and Verdú: ``(n, len(ks))``.

    Args:
        x: rows ``(n, d)`` of p.
        y: rows ``(m, d)`` of q.
        ks: the numbers of neighbours: one, or few, the usual number and many.
        queries: which rows of x to use.
        step: called after each search.

    Raises:
        ValueError: if the usual neighbour of a row is at distance 0.
    """
    (n, d), m = x.shape, len(y)
    # A row of x that is also in y must not count as its own neighbour there.
    to_y = nearest_distances(x[queries], y, [1, *ks, *(k + 1 for k in ks)], own=False, step=step)
    to_y = torch.where(to_y[:, :1] > 0, to_y[:, 1 : 1 + len(ks)], to_y[:, 1 + len(ks) :])
    to_x = nearest_distances(x[queries], x, ks, own=True, step=step)
    return d * (_positive(to_y, "the other sample") / _positive(to_x, "its own")).log() + math.log(m / (n - 1))


def entropy(x: Tensor, ks: Sequence[int], queries: Tensor | slice, step: Step | None = None) -> Tensor:
    """The terms whose mean over rows is the entropy estimate of Kozachenko and Leonenko: ``(n, len(ks))``.

    Args and errors are those of :func:`divergence`.
    """
    n, d = x.shape
    to_x = _positive(nearest_distances(x[queries], x, ks, own=True, step=step), "its own")
    log_ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    k = torch.tensor(ks, dtype=torch.float64)
    return d * to_x.log() + log_ball + torch.digamma(torch.tensor(float(n), dtype=torch.float64)) - torch.digamma(k)


def _positive(distances: Tensor, where: str) -> Tensor:
    """The distances, where one of 0 to few neighbours is replaced by that to the usual number.

    Raises:
        ValueError: if the distance to the usual number is 0.
    """
    usual = distances[:, -1] if distances.shape[1] == 1 else distances[:, 1]
    zero = int((usual == 0).sum())
    if zero:
        raise ValueError(f"{zero} rows have their nearest neighbours in {where} at distance 0: {NO_DENSITY}")
    return torch.where(distances > 0, distances, usual[:, None])
