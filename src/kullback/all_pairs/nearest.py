"""The nearest Gaussians under a divergence: exact, in tiles, without the matrix of all of them."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.all_pairs.expanded import ExpandedKL, expanded
from kullback.all_pairs.pairwise import Function, as_torch, pairwise, prepared
from kullback.divergences.kl import kl_divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import common_array_kind, to_callers_type
from kullback.numerics.tensors import common_device, no_autocast

# Queries and vectors of one tile, and the length of the blocks of which only the smallest number is looked at first.
_QUERIES, _VECTORS, _BLOCK = 64, 32_768, 64

# How many more are kept than asked for, so that rounding cannot lose one that belongs among them.
_SPARE = 8


class Neighbours(NamedTuple):
    """The nearest, nearest first."""

    values: Any
    """Their divergences, ``(n, k)``."""
    indices: Any
    """Where in q they are, ``(n, k)``."""


def nearest(p: Any, q: Any, k: int, divergence: str | Function = "kl") -> Neighbours:
    r"""For every Gaussian of p the k of q that are nearest, by :math:`D(p_i \,\|\, q_j)`, exactly.

    For the Kullback–Leibler divergence of diagonals by matrix products in the dtype given, tile by tile; what may be
    among the nearest is computed again, exactly, and where rounding leaves a doubt the row is searched in full. For
    other pairs and divergences every divergence is computed, tile by tile. No gradients: the indices have none, and
    ``kl_divergence(p[:, None], q[indices])`` has those of the values.

    Shape:
        A row for each of p, nearest first: ``(n, k)`` for batches of shapes ``(n,)`` and ``(m,)``. Of equal divergences
        any may come first.

    Args:
        p: a batch of Gaussians, the queries; whatever :func:`kl_divergence` takes.
        q: a batch of Gaussians, what is searched.
        k: how many, from 1 to m.
        divergence: as for :func:`pairwise`.

    Raises:
        ShapeError: unless both have one batch dimension, and equal events.
        ValueError: for another k, or a name that is none.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, nearest
        >>> q = Gaussian.from_std(torch.tensor([[0.0], [1.0], [3.0]]), torch.ones(3, 1))
        >>> nearest(Gaussian.from_std(torch.tensor([[2.8]]), torch.ones(1, 1)), q, k=2).indices
        tensor([[2, 1]])
    """
    p, q, function = prepared(p, q, divergence)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(q):
        raise ValueError(f"k is a whole number from 1 to {len(q)} (the Gaussians of q), got {k!r}.")
    kind = common_array_kind((p.array_kind, q.array_kind))
    with no_autocast(common_device([*p.tensors(), *q.tensors()])):
        p, q = as_torch(p.detach(), q.detach())
        vectors = expanded(p, q, p.mean.dtype) if function is kl_divergence else None
        found = _in_full(p, q, k, function) if vectors is None else _by_product(p, q, k, vectors)
    return Neighbours(*(to_callers_type(x, kind) for x in found))


def _in_full(p: Gaussian, q: Gaussian, k: int, function: Function) -> tuple[Tensor, Tensor]:
    parts = [
        smallest(torch.as_tensor(pairwise(p[i : i + _QUERIES], q, function)), k) for i in range(0, len(p), _QUERIES)
    ]
    if not parts:
        return p.mean.new_empty(0, k), p.mean.new_empty(0, k, dtype=torch.int64)
    return torch.cat([v for v, _ in parts]), torch.cat([i for _, i in parts])


def _by_product(p: Gaussian, q: Gaussian, k: int, vectors: ExpandedKL) -> tuple[Tensor, Tensor]:
    dtype = p.mean.dtype
    kept = min(k + _SPARE, len(q))
    values = torch.empty(len(p), k, dtype=dtype, device=p.device)
    indices = torch.empty(len(p), k, dtype=torch.int64, device=p.device)
    # A product of 2d + 1 terms is off by at most this times the sum of their sizes, 5 D + A + B; the features, which
    # are rounded too, by one unit more each.
    unit = (vectors.left.shape[1] + 3) * torch.finfo(vectors.left.dtype).eps
    # One piece for all tiles: memory that is new each time costs more than the product.
    memory = vectors.left.new_empty(_QUERIES * min(_VECTORS, len(q)))
    for start in range(0, len(p), _QUERIES):
        rows = slice(start, min(start + _QUERIES, len(p)))
        scores, where = _candidates(vectors, rows, kept, memory)
        exact = kl_divergence(p[rows][:, None], q[where])
        best, order = exact.topk(k, largest=False)
        values[rows], indices[rows] = best, where.gather(1, order)
        if kept < len(q):
            # What was not kept scored no lower than the last that was. Is it farther than the k nearest for certain?
            beyond = scores[:, -1:]
            error = unit * (5.0 * best[:, -1:] + vectors.size_p[rows, None] + vectors.size_q.amax())
            if vectors.norm_p is not None and vectors.norm_q is not None:
                error = error + unit * vectors.norm_p[rows, None] * vectors.norm_q.amax()
            doubtful = ~(beyond - error > best[:, -1:] + error).squeeze(1)
            for i in doubtful.nonzero()[:, 0].tolist():
                best, where = smallest(kl_divergence(p[start + i], q)[None], k)
                values[start + i], indices[start + i] = best[0], where[0]
    return values, indices


def _candidates(vectors: ExpandedKL, rows: slice, kept: int, memory: Tensor) -> tuple[Tensor, Tensor]:
    """The lowest scores of some rows, ascending, and where they are; the scores of a tile are formed in ``memory``."""
    scores, where = [], []
    for start in range(0, len(vectors.right), _VECTORS):
        right = vectors.right[start : start + _VECTORS]
        tile = memory[: len(vectors.left[rows]) * len(right)].view(-1, len(right))
        torch.mm(vectors.left[rows], right.mT, out=tile)
        tile.nan_to_num_(-torch.inf)  # no number, so that it is looked at
        found, index = smallest(tile, min(kept, len(right)))
        scores.append(found)
        where.append(index + start)
    found, order = torch.cat(scores, 1).topk(kept, largest=False)
    return found + vectors.constant[rows, None], torch.cat(where, 1).gather(1, order)


def smallest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k smallest of each row, ascending, and where they are: in the k blocks with the smallest minima."""
    n, m = x.shape
    blocks = m // _BLOCK
    if blocks < 4 * k:
        found = x.topk(k, largest=False)
        return found.values, found.indices
    body = x[:, : blocks * _BLOCK].view(n, blocks, _BLOCK)
    chosen = body.amin(-1).topk(k, largest=False, sorted=False).indices
    inside = body.gather(1, chosen[..., None].expand(n, k, _BLOCK)).flatten(1)
    at = (chosen[..., None] * _BLOCK + torch.arange(_BLOCK, device=x.device)).flatten(1)
    rest = torch.arange(blocks * _BLOCK, m, device=x.device).expand(n, -1)
    values, order = torch.cat([inside, x[:, blocks * _BLOCK :]], 1).topk(k, largest=False)
    return values, torch.cat([at, rest], 1).gather(1, order)
