"""Every Gaussian of one batch against every one of another."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.all_pairs.expanded import ExpandedKL, expanded, expanded_diagonals
from kullback.divergences.api import as_common_tensors, check_events
from kullback.divergences.jeffreys import jeffreys
from kullback.divergences.kl import kl_divergence
from kullback.divergences.registry import function_of, record_of
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import as_gaussian
from kullback.numerics.arrays import ArrayKind, common_array_kind, to_callers_type
from kullback.numerics.gradients import any_requires_grad, with_value
from kullback.numerics.memory import empty
from kullback.numerics.tensors import common_device, no_autocast

# How many numbers a tile has, and how many numbers of pairs are computed again at once.
_TILE = 2**18
_NUMBERS = 2**22

Function = Callable[[Any, Any], Any]


def pairwise(p: Any, q: Any, divergence: str | Function = "kl") -> Any:
    r"""The divergence of every Gaussian of p from every one of q.

    For the Kullback–Leibler and the Jeffreys divergence of diagonals, and of full covariances of up to 64 coordinates,
    one matrix product, with every entry that cancelled computed again; otherwise tile by tile. The diagonal of
    ``pairwise(p, p)`` is exactly 0. The Kullback–Leibler divergence of diagonals takes hardly more memory than its
    result.

    Shape:
        A row for each of p and a column for each of q: ``(n, m)`` for batches of shapes ``(n,)`` and ``(m,)``.
    Gradient:
        Differentiable like the divergence; with gradients, memory is that of a few results.
    Stability:
        Relative errors are within 2e-6 for float32 inputs and 2e-12 for float64, means far from 0 and tight clusters
        included; of full covariances, entries that are computed again are as exact as a single call.

    Args:
        p: a batch of Gaussians; whatever :func:`kl_divergence` takes.
        q: the same.
        divergence: ``"kl"``, the name of another divergence, or a function of two batches of Gaussians, such as
            ``lambda p, q: renyi(p, q, 0.5)``.

    Raises:
        ShapeError: unless both have one batch dimension, and equal events.
        ValueError: for a name that is none, or a divergence that has a parameter.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, pairwise
        >>> p = Gaussian.from_std(torch.tensor([[0.0], [1.0], [2.0]]), torch.ones(3, 1))
        >>> pairwise(p, p)
        tensor([[0.0000, 0.5000, 2.0000],
                [0.5000, 0.0000, 0.5000],
                [2.0000, 0.5000, 0.0000]])
    """
    p, q, function = prepared(p, q, divergence)
    kind = common_array_kind((p.array_kind, q.array_kind))
    with no_autocast(common_device([*p.tensors(), *q.tensors()])):
        return to_callers_type(_pairwise(*as_torch(p, q), function), kind)


def as_torch(p: Gaussian, q: Gaussian, dtype: torch.dtype | None = None) -> list[Gaussian]:
    """Both as tensors of one dtype, whose divergences are tensors."""
    return [g.with_array_kind(ArrayKind.TORCH) for g in as_common_tensors(p, q, dtype)]


def _pairwise(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    if function is jeffreys:
        return _pairwise(p, q, kl_divergence) + _pairwise(q, p, kl_divergence).mT
    if function is not kl_divergence:
        return _tiled(p, q, function)
    found = expanded(p, q, torch.float64)
    if found is None:
        return _tiled(p, q, function)
    exact = _by_product(p.detach(), q.detach(), found.detach())
    if not any_requires_grad(*p.tensors(), *q.tensors()):
        return exact
    return with_value(found.values(slice(None)).to(exact.dtype), exact)


def _by_product(p: Gaussian, q: Gaussian, found: ExpandedKL) -> Tensor:
    n, m, dtype = len(p), len(q), p.mean.dtype
    result = empty((n, m), dtype, p.device)
    step = max(1, _TILE // max(m, 1))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        values = found.values(rows)
        certain = found.certain(values, rows, dtype)
        result[rows] = values
        if bool(certain.all()):
            continue
        # A row of many doubts is computed as a whole, which reads q in order; single entries are gathered.
        many = certain.sum(-1) < m - m // 16
        for i in many.nonzero()[:, 0].tolist():
            result[start + i] = kl_divergence(p[start + i], q)
        row, column = (~(certain | many[:, None])).nonzero(as_tuple=True)
        most = max(1, _NUMBERS // found.left.shape[1])
        for i, j in zip((row + start).split(most), column.split(most), strict=True):
            result[i, j] = kl_divergence(p[i], q[j])
    return result


def _tiled(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    size = q.event_size * (1 if p.scale.is_diagonal and q.scale.is_diagonal else q.event_size)
    step = max(1, 8 * _TILE // max(len(q) * size, 1))
    tiles = [torch.as_tensor(function(p[i : i + step][:, None], q)) for i in range(0, max(len(p), 1), step)]
    return torch.cat(tiles)


def prepared(p: Any, q: Any, divergence: str | Function) -> tuple[Gaussian, Gaussian, Function]:
    """Two batches of one dimension and one event, and the divergence that is meant."""
    p, q = as_gaussian(p, "p"), as_gaussian(q, "q")
    for name, g in (("p", p), ("q", q)):
        if len(g.batch_shape) != 1:
            raise ShapeError(
                f"{name} has batch shape {tuple(g.batch_shape)}; one batch dimension is needed, (n,). A single "
                f"Gaussian is a batch of one: {name}[None]."
            )
    check_events(p, q)
    if callable(divergence):
        return p, q, divergence
    record = record_of(divergence)
    if record.required:
        parameter = record.required[0].name
        raise ValueError(
            f"{divergence} needs {parameter}: divergence=lambda p, q: {record.name}(p, q, {parameter}=...)."
        )
    return p, q, function_of(record)


class Augmented(NamedTuple):
    """Vectors whose inner products are divergences, negated."""

    p: Any
    """One query for each Gaussian of p, ``(n, 2d + 2)``."""
    q: Any
    """One vector for each Gaussian of q, ``(m, 2d + 2)``."""


def augmented(p: Any, q: Any) -> Augmented:
    r"""Vectors with :math:`\langle a_i, b_j \rangle = -D(p_i \,\|\, q_j)`, for people who own a vector index.

    The nearest under the Kullback–Leibler divergence is the largest inner product. In float64, since the product
    cancels: in float32 neighbours closer than about :math:`10^{-6}` of the terms' size are told apart by rounding. And
    approximate indexes may fail where they are made for vectors of one length: those of narrow Gaussians are much
    longer than the others, by :math:`\tfrac12 \sum \mu^2 / v`. :func:`nearest` is exact; check recall against it.

    Args:
        p: a batch of diagonal Gaussians, the queries.
        q: a batch of diagonal Gaussians, what is searched.

    Returns:
        ``Augmented(p, q)``, in float64.

    Raises:
        ShapeError: unless both have one batch dimension, and equal events.
        ValueError: if they are not diagonal.

    Reference:
        L. Cayton, Fast nearest neighbor retrieval for Bregman divergences, ICML 2008.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, augmented
        >>> p = Gaussian.from_std(torch.tensor([[0.0], [1.0]]), torch.ones(2, 1))
        >>> a, b = augmented(p, p)
        >>> -a @ b.T
        tensor([[0.0000, 0.5000],
                [0.5000, 0.0000]], dtype=torch.float64)
    """
    p, q, _ = prepared(p, q, "kl")
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        given = f"{p.scale.parameterization} and {q.scale.parameterization}"
        raise ValueError(f"augmented takes diagonal Gaussians, got {given}.")
    kind = common_array_kind((p.array_kind, q.array_kind))
    found = expanded_diagonals(*as_torch(p, q, torch.float64), torch.float64)
    queries = -torch.cat([found.left, found.constant[:, None]], -1)
    vectors = torch.cat([found.right, torch.ones_like(found.right[:, :1])], -1)
    return Augmented(to_callers_type(queries, kind), to_callers_type(vectors, kind))
