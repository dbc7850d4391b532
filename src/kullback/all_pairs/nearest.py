"""The nearest Gaussians under a divergence, exactly, without storing the matrix of all divergences."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.all_pairs.expanded import ExpandedKL, expanded
from kullback.all_pairs.pairwise import Function, as_batches, as_torch, pairwise
from kullback.divergences.kl import kl_divergence
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import common_array_kind, from_callers_type, to_callers_type
from kullback.numerics.screened import nearest_by_scores, smallest
from kullback.numerics.tensors import common_device, no_autocast

# Gaussians of p and of q in one tile of scores.
_ROWS, _COLUMNS = 64, 32_768


class Neighbours(NamedTuple):
    """The k nearest Gaussians of each query, nearest first."""

    values: Any
    """Their divergences, ``(n, k)``."""
    indices: Any
    """Their indices in q, ``(n, k)``."""


def nearest(p: Any, q: Any, k: int, divergence: str | Function = "kl") -> Neighbours:
    r"""The k Gaussians of q with the smallest divergences :math:`D(p_i \,\|\, q_j)` for each Gaussian of p, exactly.

    For the Kullback–Leibler divergence of diagonal covariances, and of full covariances of up to 64 coordinates, matrix
    products find candidates, whose divergences are then computed exactly; where rounding of the products leaves a
    doubt, the row is searched in full. For other pairs and divergences all divergences are computed, tile by tile.

    Shape:
        ``(n, k)`` for batches of shapes ``(n,)`` and ``(m,)``: a row for each Gaussian of p, nearest first. Equal
        divergences are in no particular order.
    Units:
        Those of the divergence: nats for ``"kl"``.
    Gradient:
        None. ``kl_divergence(p[:, None], q[indices])`` are the values with gradients.

    Args:
        p: a batch of Gaussians, or of anything else that :func:`kl_divergence` takes; the queries.
        q: another one, which is searched.
        k: the number of neighbours, from 1 to m.
        divergence: as for :func:`pairwise`.

    Returns:
        ``Neighbours(values, indices)``: tensors, or NumPy arrays if p and q were given as NumPy arrays.

    Raises:
        ShapeError: if p or q does not have exactly one batch dimension, or if the event shapes differ.
        ValueError: if k is not from 1 to m, if the name is unknown, or if the divergence has a parameter that must be
            given.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, nearest
        >>> q = Gaussian.from_std(torch.tensor([[0.0], [1.0], [3.0]]), torch.ones(3, 1))
        >>> nearest(Gaussian.from_std(torch.tensor([[2.8]]), torch.ones(1, 1)), q, k=2).indices
        tensor([[2, 1]])
    """
    p, q, function = as_batches("nearest({}, k)", p, q, divergence)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= len(q):
        raise ValueError(f"k is a whole number from 1 to {len(q)} (the Gaussians of q), got {k!r}.")
    kind = common_array_kind((p.array_kind, q.array_kind))
    with no_autocast(common_device([*p.tensors(), *q.tensors()])):
        p, q = as_torch(p.detach(), q.detach())
        expansion = expanded(p, q, p.mean.dtype) if function is kl_divergence else None
        neighbours = _in_full(p, q, k, function) if expansion is None else _by_product(p, q, k, expansion)
    return Neighbours(*(to_callers_type(x, kind) for x in neighbours))


def _in_full(p: Gaussian, q: Gaussian, k: int, function: Function) -> tuple[Tensor, Tensor]:
    """The nearest from all divergences, some rows at a time."""
    parts = [smallest(from_callers_type(pairwise(p[i : i + _ROWS], q, function)), k) for i in range(0, len(p), _ROWS)]
    if not parts:
        return p.mean.new_empty(0, k), p.mean.new_empty(0, k, dtype=torch.int64)
    return torch.cat([values for values, _ in parts]), torch.cat([indices for _, indices in parts])


def _by_product(p: Gaussian, q: Gaussian, k: int, expansion: ExpandedKL) -> tuple[Tensor, Tensor]:
    """The nearest by the scores of matrix products, whose rounding errors are bounded."""
    values = torch.empty(len(p), k, dtype=p.mean.dtype, device=p.device)
    indices = torch.empty(len(p), k, dtype=torch.int64, device=p.device)
    # All tiles share one piece of memory: allocating it for each would cost more than the product.
    memory = expansion.left.new_empty(_ROWS * min(_COLUMNS, len(q)))
    for start in range(0, len(p), _ROWS):
        rows = slice(start, min(start + _ROWS, len(p)))
        values[rows], indices[rows] = _nearest_of_rows(p[rows], q, k, expansion.of_rows(rows), memory)
    return values, indices


def _nearest_of_rows(p: Gaussian, q: Gaussian, k: int, expansion: ExpandedKL, memory: Tensor) -> tuple[Tensor, Tensor]:
    # A product of 2d + 1 terms is off by at most this times the sum of their absolute values, which is at most
    # 5 D + A + B; rounding the two vectors adds one unit each.
    unit = (expansion.left.shape[1] + 3) * torch.finfo(expansion.left.dtype).eps

    def settled(last_score: Tensor, kth: Tensor) -> Tensor:
        """Whether a divergence of at least this score is above the k-th smallest, whatever the rounding errors."""
        error = unit * (5.0 * kth + expansion.size_p + expansion.size_q.amax())
        if expansion.norm_p is not None and expansion.norm_q is not None:
            error = error + unit * expansion.norm_p * expansion.norm_q.amax()
        return last_score + expansion.constant - error > kth + error

    return nearest_by_scores(
        _score_tiles(expansion, memory),
        k,
        len(q),
        exact=lambda candidates: kl_divergence(p[:, None], q[candidates]),
        settled=settled,
        whole_rows=lambda row: kl_divergence(p[int(row)], q)[None],
        rows_at_once=1,
    )


def _score_tiles(expansion: ExpandedKL, memory: Tensor) -> Iterator[Tensor]:
    """The inner products of all pairs, which are the divergences less the constants of the rows, tile by tile.

    Each tile overwrites the one before.
    """
    for start in range(0, len(expansion.right), _COLUMNS):
        right = expansion.right[start : start + _COLUMNS]
        tile = memory[: len(expansion.left) * len(right)].view(-1, len(right))
        torch.mm(expansion.left, right.mT, out=tile)
        yield tile.nan_to_num_(-torch.inf)  # NaN becomes a candidate
