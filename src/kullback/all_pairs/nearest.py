"""The nearest Gaussians under a divergence, exactly, without storing the matrix of all divergences."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.all_pairs.by_products import nearest_by_products
from kullback.all_pairs.pairwise import Function, as_batches, as_torch, pairwise
from kullback.divergences.kl import kl_divergence
from kullback.engines.local import going_on
from kullback.gaussians.gaussian import Gaussian
from kullback.numerics.arrays import common_array_kind, from_callers_type, to_callers_type
from kullback.numerics.screened import smallest
from kullback.numerics.tensors import common_device, no_autocast

# Numbers of the vectors of a block of p, and of one of q: with theirs, some hundred megabytes are taken at once.
_BLOCK_ELEMENTS = 2**23

# Gaussians of p of which all divergences from a block of q are computed at once.
_ROWS = 64


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

    Memory holds p, q and the result, and some hundred megabytes beside them, however many there are: blocks of both are
    searched, and what is nearest in each is merged. ``kullback nearest`` does the same for files that are larger than
    memory, by the threads of one machine or the processes of a Dask cluster.

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
        values = torch.empty(len(p), k, dtype=p.mean.dtype, device=p.device)
        indices = torch.empty(len(p), k, dtype=torch.int64, device=p.device)
        size = block_size(p, q)
        blocks = [q[start : start + size] for start in range(0, len(q), size)]
        for start in range(0, len(p), size):
            rows = slice(start, start + size)
            values[rows], indices[rows] = nearest_in_blocks(p[rows], blocks, k, function)
    return Neighbours(to_callers_type(values, kind), to_callers_type(indices, kind))


def block_size(p: Gaussian, q: Gaussian) -> int:
    """How many Gaussians of p, and of q, are searched at once, so that memory is bounded whatever there is of them."""
    d = p.event_size
    return max(_ROWS, _BLOCK_ELEMENTS // (2 * d + 1 if p.scale.is_diagonal and q.scale.is_diagonal else d * (d + 1)))


def nearest_in_blocks(p: Gaussian, blocks: Iterable[Gaussian], k: int, function: Function) -> tuple[Tensor, Tensor]:
    """The divergences in float64 and the indices of the k nearest, ``(n, k)``, in blocks of q of which at least one has
    a Gaussian; fewer if they have fewer. Every Gaussian has the same dtype, and memory holds a block at a time.
    """
    found: tuple[Tensor, Tensor] | None = None
    start = 0
    for q in blocks:
        going_on()
        values, indices = _in_block(p, q, min(k, len(q)), function)
        further = values, indices + start
        found = further if found is None else _merged(found, further, k)
        start += len(q)
    assert found is not None
    return found


def _in_block(p: Gaussian, q: Gaussian, k: int, function: Function) -> tuple[Tensor, Tensor]:
    found = nearest_by_products(p, q, k) if function is kl_divergence and len(p) else None
    return _in_full(p, q, k, function) if found is None else found


def _merged(a: tuple[Tensor, Tensor], b: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """The k nearest of those of two parts of q."""
    values, indices = (torch.cat(x, 1) for x in zip(a, b, strict=True))
    values, order = values.topk(min(k, values.shape[1]), largest=False)
    return values, indices.gather(1, order)


def _in_full(p: Gaussian, q: Gaussian, k: int, function: Function) -> tuple[Tensor, Tensor]:
    """The nearest from all divergences, some rows at a time."""
    parts = [smallest(from_callers_type(pairwise(p[i : i + _ROWS], q, function)), k) for i in range(0, len(p), _ROWS)]
    if not parts:
        return p.mean.new_empty(0, k, dtype=torch.float64), p.mean.new_empty(0, k, dtype=torch.int64)
    return torch.cat([values.double() for values, _ in parts]), torch.cat([indices for _, indices in parts])
