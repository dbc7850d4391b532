r"""Every Gaussian of one batch against every one of another.

For diagonals the Kullback–Leibler divergence is an inner product,

.. math:: D(p_i \,\|\, q_j) = c_i + \Big\langle (v_i + \mu_i^2,\; \mu_i,\; 1),\;
    \big(\tfrac{1}{2 v_j},\; -\tfrac{\mu_j}{v_j},\; \tfrac12 \textstyle\sum [\mu_j^2 / v_j + \log v_j] \big)
    \Big\rangle ,

so that one matrix product gives all of them, and what is nearest has the largest product. Expanded like this it
cancels: near Gaussians come out negative. The sizes of the terms sum to at most :math:`5 D + A_i + B_j`, with
:math:`A_i = \tfrac d2 + \sum \max(\log v_i, 0)` and
:math:`B_j = \tfrac d2 + \sum \max(-\log v_j, 0) + 3 \sum \mu_j^2 / v_j`; every entry that is small against them is
computed again, exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.adapt.arrays import as_given
from kullback.adapt.gaussians import as_gaussian
from kullback.common import common_device, common_dtype, common_kind, no_autocast
from kullback.concrete import has_visible_values
from kullback.divergences.formula import check_events, operands
from kullback.divergences.kl import kl_divergence
from kullback.errors import ShapeError
from kullback.gaussian import Gaussian
from kullback.scale.diagonal import Diagonal

# What is small against its terms. The product is formed in float64: for float32 inputs it has digits to spare.
SMALL = {torch.float32: 1e-7, torch.float64: 4.4e-4}

# How many numbers a tile has, and how many pairs are computed again at once.
_TILE = 2**18
_PAIRS = 2**16

# How many coordinates are prepared at once.
_PART = 2**17

Function = Callable[[Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Product:
    """The inner products of a pair of batches of diagonals, and the sizes of their terms, in one dtype."""

    constant: Tensor  # (n,)
    left: Tensor  # (n, 2d + 1)
    right: Tensor  # (m, 2d + 1)
    size_p: Tensor  # (n,)
    size_q: Tensor  # (m,)

    @classmethod
    def of(cls, p: Gaussian, q: Gaussian, dtype: torch.dtype) -> "Product":
        """Means are moved to the centre of q's first, in float64, and everything is rounded to ``dtype`` last."""
        centre = q.mean.detach().mean(0, dtype=torch.float64).flatten()
        left = [[x.to(dtype) for x in _left(part, centre)] for part in _parts(p)]
        right = [[x.to(dtype) for x in _right(part, centre)] for part in _parts(q)]
        constant, queries, size_p = (torch.cat(x) for x in zip(*left, strict=True))
        vectors, size_q = (torch.cat(x) for x in zip(*right, strict=True))
        return cls(constant, queries, vectors, size_p, size_q)

    def values(self, rows: slice) -> Tensor:
        """The divergences of some rows, as they come out."""
        return torch.addmm(self.constant[rows, None], self.left[rows], self.right.mT)

    def certain(self, values: Tensor, rows: slice, small: float) -> Tensor:
        """Which of them are numbers, and not small against their terms."""
        factor = small / (1.0 - 5.0 * small)
        return values > factor * self.size_p[rows, None] + factor * self.size_q


def _parts(g: Gaussian) -> list[Gaussian]:
    """A batch in parts that a cache holds."""
    step = max(1, _PART // max(g.event_size, 1))
    return [g[i : i + step] for i in range(0, max(len(g), 1), step)]


def _left(p: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, log, variance = _moments(p, centre)
    features = torch.cat([variance + mean.square(), mean, torch.ones_like(mean[:, :1])], -1)
    return -0.5 * (1.0 + log).sum(-1), features, 0.5 * mean.shape[-1] + log.detach().clamp(min=0.0).sum(-1)


def _right(q: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor]:
    mean, log, variance = _moments(q, centre)
    precision = 1.0 / variance
    slope = mean * precision
    square = mean * slope
    features = torch.cat([0.5 * precision, -slope, 0.5 * (square + log).sum(-1, keepdim=True)], -1)
    size = 0.5 * mean.shape[-1] + (-log.detach()).clamp(min=0.0).sum(-1) + 3.0 * square.detach().sum(-1)
    return features, size


def _moments(g: Gaussian, centre: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Means from the centre, log-variances and variances in float64, ``(n, d)``."""
    g = g.cast(torch.float64, g.device)
    assert isinstance(g.scale, Diagonal)
    full = (*g.batch_shape, *g.event_shape)
    shape = (*g.batch_shape, g.event_size)
    scales = (g.scale.to(given).tensor.expand(full).reshape(shape) for given in ("logvar", "variance"))
    return g.mean.expand(full).reshape(shape) - centre, next(scales), next(scales)


def has_product_form(p: Gaussian, q: Gaussian) -> bool:
    """Are these diagonals whose values may be looked at?"""
    diagonal = isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal)
    return diagonal and all(has_visible_values(x) for g in (p, q) for x in g.tensors())


def pairwise(p: Any, q: Any, divergence: str | Function = "kl") -> Any:
    r"""The divergence of every Gaussian of p from every one of q.

    For the Kullback–Leibler and the Jeffreys divergence of diagonals one matrix product, with every entry that
    cancelled computed again; otherwise tile by tile. The diagonal of ``pairwise(p, p)`` is exactly 0. The
    Kullback–Leibler divergence of diagonals takes hardly more memory than its result.

    Shape:
        A row for each of p and a column for each of q: ``(n, m)`` for batches of shapes ``(n,)`` and ``(m,)``.
    Gradient:
        Differentiable like the divergence; with gradients, memory is that of a few results.
    Stability:
        Relative errors are within 2e-6 for float32 inputs and 2e-12 for float64, means far from 0 and tight clusters
        included.

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
    numpy = common_kind([p, q]) is True
    with no_autocast(common_device([p, q])):
        p, q = as_tensors(p, q, common_dtype([p, q]))
        return as_given(_pairwise(p, q, function), numpy=numpy)


def as_tensors(p: Gaussian, q: Gaussian, dtype: torch.dtype) -> list[Gaussian]:
    """Both as tensors, of which divergences are tensors."""
    return [replace(g, numpy=False) for g in operands(p, q, dtype, common_device([p, q]))]


def _pairwise(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    if function is _jeffreys() and has_product_form(p, q):
        return _pairwise(p, q, kl_divergence) + _pairwise(q, p, kl_divergence).mT
    if function is not kl_divergence or not has_product_form(p, q):
        return _tiled(p, q, function)
    exact = _by_product(p.detach(), q.detach())
    if not (torch.is_grad_enabled() and any(x.requires_grad for g in (p, q) for x in g.tensors())):
        return exact
    plain = Product.of(p, q, torch.float64).values(slice(None)).to(exact.dtype)
    return plain - plain.detach() + exact


def _by_product(p: Gaussian, q: Gaussian) -> Tensor:
    n, m, dtype = len(p), len(q), p.mean.dtype
    product, small = Product.of(p, q, torch.float64), SMALL[dtype]
    result = torch.empty(n, m, dtype=dtype, device=p.device)
    step = max(1, _TILE // max(m, 1))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        values = product.values(rows)
        certain = product.certain(values, rows, small)
        result[rows] = values
        if bool(certain.all()):
            continue
        # A row of many doubts is computed as a whole, which reads q in order; single entries are gathered.
        many = certain.sum(-1) < m - m // 16
        for i in many.nonzero()[:, 0].tolist():
            result[start + i] = kl_divergence(p[start + i], q)
        row, column = (~(certain | many[:, None])).nonzero(as_tuple=True)
        for i, j in zip((row + start).split(_PAIRS), column.split(_PAIRS), strict=True):
            result[i, j] = kl_divergence(p[i], q[j])
    return result


def _tiled(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    size = q.event_size * (1 if isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal) else q.event_size)
    step = max(1, 8 * _TILE // max(len(q) * size, 1))
    tiles = [torch.as_tensor(function(p[i : i + step][:, None], q)) for i in range(0, max(len(p), 1), step)]
    return torch.cat(tiles)


def _jeffreys() -> Function:
    from kullback.divergences.jeffreys import jeffreys

    return jeffreys


def prepared(p: Any, q: Any, divergence: str | Function) -> tuple[Gaussian, Gaussian, Function]:
    """Two batches of one dimension and one event, and the divergence that is meant."""
    from kullback.divergences.registry import divergences

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
    if divergence in ("kl", "kl_divergence"):
        return p, q, kl_divergence
    known = {entry.record.name: entry for entry in divergences().values()}
    entry = known.get(divergence)
    if entry is None:
        raise ValueError(f"divergence is one of kl, {', '.join(list(known)[1:])}, or a function; got {divergence!r}.")
    if entry.record.parameter:
        parameter = entry.record.parameter
        raise ValueError(
            f"{divergence} needs {parameter}: divergence=lambda p, q: {divergence}(p, q, {parameter}=...)."
        )
    return p, q, entry.function


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
    if not (isinstance(p.scale, Diagonal) and isinstance(q.scale, Diagonal)):
        raise ValueError(f"augmented takes diagonal Gaussians, got {p.scale.given} and {q.scale.given}.")
    numpy = common_kind([p, q]) is True
    p, q = as_tensors(p, q, torch.float64)
    product = Product.of(p, q, torch.float64)
    queries = -torch.cat([product.left, product.constant[:, None]], -1)
    vectors = torch.cat([product.right, torch.ones_like(product.right[:, :1])], -1)
    return Augmented(as_given(queries, numpy=numpy), as_given(vectors, numpy=numpy))
