r"""What the distances to the k-th nearest of d-dimensional points say of densities.

With :math:`\rho` the distance of a row of x to its k-th neighbour among the others, and :math:`\nu` that among the rows
of y: the entropy of Kozachenko and Leonenko, :math:`d \,\overline{\log \rho} + \log V_d + \psi(n) - \psi(k)`, and the
divergence of Wang, Kulkarni and Verdú, :math:`d \,\overline{\log (\nu / \rho)} + \log \tfrac m{n - 1}`.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from kullback.estimate.samples.distances import nearest_distances
from kullback.estimate.samples.result import Step

# Rows above which only so many are asked for their neighbours.
MANY, QUERIES = 20_000, 5_000


# Neighbours of an estimate, and of the two whose disagreement is looked at.
K, _FEWER, _MORE = 5, 1, 10


def counts(most: int) -> tuple[int, int, int]:
    """Few, the usual number, and many, of so many neighbours that there are."""
    return (_FEWER, min(K, most), min(_MORE, most))


def queried(n: int, generator: torch.Generator) -> Tensor | slice:
    """Which rows are asked: all, or some of very many."""
    return torch.randperm(n, generator=generator)[:QUERIES].sort().values if n > MANY else slice(None)


def divergence(x: Tensor, y: Tensor, ks: Sequence[int], some: Tensor | slice, step: Step | None = None) -> Tensor:
    """Of each row that is asked, for each k, what the estimate is the mean of: ``(n, len(ks))``."""
    (n, d), m = x.shape, len(y)
    # A row that is also in y is not its own neighbour there.
    to_y = nearest_distances(x[some], y, [1, *ks, *(k + 1 for k in ks)], own=False, step=step)
    to_y = torch.where(to_y[:, :1] > 0, to_y[:, 1 : 1 + len(ks)], to_y[:, 1 + len(ks) :])
    to_x = nearest_distances(x[some], x, ks, own=True, step=step)
    return d * (_apart(to_y, "the other sample") / _apart(to_x, "its own")).log() + math.log(m / (n - 1))


def entropy(x: Tensor, ks: Sequence[int], some: Tensor | slice, step: Step | None = None) -> Tensor:
    """Of each row that is asked, for each k, what the entropy is the mean of: ``(n, len(ks))``."""
    n, d = x.shape
    to_x = _apart(nearest_distances(x[some], x, ks, own=True, step=step), "its own")
    ball = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1)
    k = torch.tensor(ks, dtype=torch.float64)
    return d * to_x.log() + ball + torch.digamma(torch.tensor(float(n), dtype=torch.float64)) - torch.digamma(k)


def _apart(distances: Tensor, where: str) -> Tensor:
    """Distances to one number of neighbours, or to few, the usual number and many; none of them 0.

    Where the nearest is a copy, the usual number stands for few.
    """
    usual = distances[:, -1] if distances.shape[1] == 1 else distances[:, 1]
    zero = int((usual == 0).sum())
    if zero:
        raise ValueError(
            f"{zero} rows have their nearest neighbours in {where} at distance 0: rows that repeat have no density, "
            "and neighbours say nothing. For counts or classes compare frequencies; for samples of a Gaussian, "
            'method="gaussian".'
        )
    return torch.where(distances > 0, distances, usual[:, None])
