r"""The nearest under the Kullback–Leibler divergence, by matrix products with a bound of their rounding errors.

Scores are the inner products of ``expanded.py``, of which the lowest of each row are kept. If the k-th lowest score is
s, and the rounding error of a score is at most e, then a Gaussian whose score is above s + 2e is not among the k
nearest. The divergences of the others are computed by the formula, in float64. Where more may be as near as those that
were kept, the row is in doubt: first the products are in float32, then of such rows in float64, and what is in doubt
even then is computed in full.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kullback.all_pairs.expanded import ExpandedKL, expanded
from kullback.divergences.kl import kl_divergence
from kullback.engines.local import Local, going_on
from kullback.gaussians.gaussian import Gaussian
from kullback.kernels.lowest import Products
from kullback.numerics.screened import smallest

# Gaussians of p that are searched for at once, whose vectors stay in a cache.
_ROWS = 1024

# Candidates of a row beyond those asked for, so that rounding of the scores rarely leaves a doubt.
_SPARE = 4

# Numbers of the means of pairs that are computed at once by the formula.
_ELEMENTS = 2**16


def nearest_by_products(p: Gaussian, q: Gaussian, k: int) -> tuple[Tensor, Tensor] | None:
    """The divergences in float64 and the indices of the k nearest, both ``(n, k)``; None if there is no such form."""
    values = torch.empty(len(p), k, dtype=torch.float64, device=p.device)
    indices = torch.empty(len(p), k, dtype=torch.int64, device=p.device)
    doubtful = torch.arange(len(p), device=p.device)
    tried = None
    for dtype in (torch.float32, torch.float64):
        rows = p[doubtful] if tried else p
        form = expanded(rows, q, dtype)
        if form is None:
            return None
        if form.left.dtype == tried:
            continue
        tried = form.left.dtype
        search = _Search(rows, _float64(q), k, form, Products(form.right))
        found, where, settled = (torch.cat(x) for x in zip(*search.parts(), strict=True))
        values[doubtful], indices[doubtful] = found, where
        doubtful = doubtful[~settled]
        if not len(doubtful):
            return values, indices
    for row in doubtful:
        values[row], indices[row] = _in_full(p[row], q, k)
    return values, indices


@dataclass(frozen=True)
class _Search:
    """The search for the k nearest of rows of p, some rows at a time; q is in float64."""

    p: Gaussian
    q: Gaussian
    k: int
    form: ExpandedKL
    products: Products

    def parts(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """What is found of all rows in their order, by as many threads as torch has, each with its own products."""
        parts = [slice(start, start + _ROWS) for start in range(0, len(self.p), _ROWS)]
        threads = min(torch.get_num_threads(), len(parts)) if self.p.mean.is_cpu else 1
        if threads == 1:
            return [self(part) for part in parts]
        return [found for _, found in Local(threads).map(self, parts)]

    def __call__(self, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Divergences and indices of the k nearest of each row of a part, and whether they certainly are."""
        going_on()
        p, q, k, form = self.p[part], self.q, self.k, self.form.of_rows(part)
        scores, columns = self.products.lowest(form.left, min(k + _SPARE, len(q)))
        scores = scores.double()
        constant, kth = form.constant.double(), scores[:, k - 1]
        cut = kth + 2.25 * _error(form, (kth + constant).clamp(min=0.0))
        chosen = ~(scores > cut[:, None])
        row, place = chosen.nonzero(as_tuple=True)
        exact = torch.full_like(scores, torch.inf)
        exact[row, place] = _divergences(_float64(p), q, row, columns[row, place])
        values, order = exact.topk(k, largest=False)
        # What was not computed scores more than the cut, or at least as much as the last that was kept.
        least = cut if scores.shape[1] == len(q) else torch.minimum(cut, scores[:, -1])
        settled = least + constant > values[:, -1] + _error(form, values[:, -1])
        if scores.shape[1] == len(q):
            settled |= chosen.all(1)
        return values, columns.gather(1, order), settled


def _error(form: ExpandedKL, divergence: Tensor) -> Tensor:
    """A bound of the rounding errors of the scores of Gaussians that are no farther than this.

    A product of t terms is off by at most t units of the sum of their absolute values, which is at most 5 D + A + B;
    rounding the two vectors and the constant adds three. Twice the unit allows for what is of second order.
    """
    unit = (form.left.shape[1] + 3) * torch.finfo(form.left.dtype).eps
    size = 5.0 * divergence + form.size_p.double() + form.size_q.amax().double()
    if form.norm_p is not None and form.norm_q is not None:
        size = size + form.norm_p * form.norm_q.amax()
    return unit * size


def _divergences(p: Gaussian, q: Gaussian, row: Tensor, column: Tensor) -> Tensor:
    """The divergences of these pairs of Gaussians in float64, by the formula."""
    step = max(1, _ELEMENTS // max(p.event_size, 1))
    pairs = zip(row.split(step), column.split(step), strict=True)
    return torch.cat([kl_divergence(_float64(_taken(p, i)), _float64(_taken(q, j))) for i, j in pairs])


def _in_full(p: Gaussian, q: Gaussian, k: int) -> tuple[Tensor, Tensor]:
    """The nearest of one Gaussian by the formula."""
    step = max(1, _ELEMENTS // max(p.event_size, 1))
    parts = [kl_divergence(_float64(p), _float64(q[j : j + step])) for j in range(0, len(q), step)]
    values, indices = smallest(torch.cat(parts)[None], k)
    return values[0], indices[0]


def _taken(g: Gaussian, index: Tensor) -> Gaussian:
    """The Gaussians at these indices, of which none is negative: five times as fast as indexing."""

    def take(x: Tensor, dims: int) -> Tensor:
        return x.broadcast_to(len(g), *x.shape[x.ndim - dims :]).index_select(0, index) if x.ndim else x

    return Gaussian(take(g.mean, g.event_dims), g.scale.map(take, g.event_dims), g.event_dims, g.array_kind)


def _float64(g: Gaussian) -> Gaussian:
    return g.cast(torch.float64, g.device)
