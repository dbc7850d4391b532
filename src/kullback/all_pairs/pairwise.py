"""The matrix of divergences of all Gaussians of one batch from all of another."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kullback.all_pairs.blocks import Block, Blocks, Place, results
from kullback.all_pairs.expanded import ExpandedKL, expanded, expanded_diagonals
from kullback.all_pairs.one_pass import Bhattacharyya, OnePass, Wasserstein2, one_pass
from kullback.all_pairs.stored_matrix import matrix_file
from kullback.divergences.api import as_common_tensors, check_events
from kullback.divergences.bhattacharyya import bhattacharyya
from kullback.divergences.hellinger import from_bhattacharyya, hellinger
from kullback.divergences.jeffreys import jeffreys
from kullback.divergences.kl import kl_divergence
from kullback.divergences.registry import RECORDS, function_of, record_of
from kullback.divergences.wasserstein2 import wasserstein2
from kullback.engines.base import Engine
from kullback.errors import ShapeError
from kullback.gaussians.gaussian import Gaussian
from kullback.interop.registry import gaussians_for
from kullback.numerics.arrays import ArrayKind, common_array_kind, from_callers_type, to_callers_type
from kullback.numerics.gradients import any_requires_grad, with_value
from kullback.numerics.memory import empty
from kullback.numerics.screened import recompute
from kullback.numerics.tensors import common_device, no_autocast

# Elements of the scales of pairs that are computed at once.
_ELEMENTS = 2**18

# Rows and columns of a block that is computed and written at once; whole chunks of a Zarr array.
BLOCK = (4096, 8192)

Function = Callable[[Any, Any], Any]


def pairwise(
    p: Any,
    q: Any,
    divergence: str | Function = "kl",
    *,
    out: str | os.PathLike[str] | None = None,
    engine: Engine | None = None,
) -> Any:
    r"""The matrix of the divergences :math:`D(p_i \,\|\, q_j)` of all Gaussians of p from all of q.

    The Kullback–Leibler and the Jeffreys divergence of diagonal covariances, and of full covariances of up to 64
    coordinates, are computed by one matrix product. So that no pair needs a decomposition, the Bhattacharyya and the
    Hellinger distance of full covariances of up to 64 coordinates, and the 2-Wasserstein distance of 2 or 3, are
    computed by elementary operations where no gradients are asked for. Every entry that lost digits to cancellation is
    computed again. Other divergences and pairs are computed tile by tile. The diagonal of ``pairwise(p, p)`` is exactly
    0. The Kullback–Leibler divergence of diagonal covariances needs little memory beyond the result.

    A matrix that is larger than memory goes into a file: ``out="kl.zarr"`` is a Zarr array in chunks of 1,024 × 1,024,
    with the attributes ``divergence`` and ``kullback`` (the version); ``out="kl.npy"`` is a NumPy file. It is computed
    and written in blocks of up to 4,096 × 8,192, of which memory holds a few. The file appears under its name when it
    is complete, in the place of an older one; a folder that holds anything but such an array is not replaced. Values
    are within the errors below of those without ``out``, because sums of products may be added up in another order.

    Shape:
        ``(n, m)`` for batches of shapes ``(n,)`` and ``(m,)``: a row for each Gaussian of p, a column for each of q.
    Units:
        Those of the divergence: nats for ``"kl"``.
    Gradient:
        That of the divergence. With gradients, memory is a few times that of the result.
    Stability:
        Relative errors are within 2e-6 for float32 inputs and 2e-12 for float64 inputs, also for means far from 0 and
        for tight clusters. For full covariances, entries that are computed again are as accurate as a single call.

    Args:
        p: a batch of Gaussians, or of anything else that :func:`kl_divergence` takes.
        q: another one.
        divergence: ``"kl"``, the name of another divergence, or a function of two batches of Gaussians, such as
            ``lambda p, q: renyi(p, q, 0.5)``.
        out: the file to write, ``.zarr`` (``pip install 'kullback[zarr]'``) or ``.npy``.
        engine: what computes the blocks at the same time; without one, they are computed one after the other.

    Returns:
        A tensor, or a NumPy array if p and q were given as NumPy arrays. With ``out``, the path of the file.

    Raises:
        ShapeError: if p or q does not have exactly one batch dimension, or if the event shapes differ.
        ValueError: if the name is unknown, or if the divergence has a parameter that must be given.
        NoClosedForm: if the divergence has no closed form for these Gaussians.
        PosteriorFileError: if ``out`` is no path of this machine, or what has its name is not a matrix.

    Example:
        >>> import torch
        >>> from kullback import Gaussian, pairwise
        >>> p = Gaussian.from_std(torch.tensor([[0.0], [1.0], [2.0]]), torch.ones(3, 1))
        >>> pairwise(p, p)
        tensor([[0.0000, 0.5000, 2.0000],
                [0.5000, 0.0000, 0.5000],
                [2.0000, 0.5000, 0.0000]])
    """
    p, q, function = as_batches("pairwise({})", p, q, divergence)
    kind = common_array_kind((p.array_kind, q.array_kind))
    with no_autocast(common_device([*p.tensors(), *q.tensors()])):
        a, b = as_torch(p, q)
        if out is None and engine is None:
            return to_callers_type(_pairwise(a, b, function), kind)
        if any_requires_grad(*a.tensors(), *b.tensors()):
            raise ValueError("out and engine keep no gradients: pass p.detach() and q.detach().")
        if out is None:
            matrix = empty((len(a), len(b)), a.mean.dtype, a.device)
            _in_blocks(a, b, function, engine, matrix.__setitem__)
            return to_callers_type(matrix, kind)
        attributes = {"divergence": divergence if isinstance(divergence, str) else getattr(divergence, "__name__", "")}
        with matrix_file(out, (len(a), len(b)), a.mean.dtype, attributes) as write:
            _in_blocks(a, b, function, engine, write)
        return Path(out)


def _in_blocks(
    p: Gaussian, q: Gaussian, function: Function, engine: Engine | None, put: Callable[[Place, Tensor], None]
) -> None:
    """The matrix block by block, each of which is put in its place."""
    for place, values in results(functools.partial(_of_block, function), Blocks.of(p, q, *BLOCK), engine):
        put(place, values)


def _of_block(function: Function, block: Block) -> Tensor:
    return _pairwise(block.p, block.q, function)


def as_torch(p: Gaussian, q: Gaussian, dtype: torch.dtype | None = None) -> tuple[Gaussian, Gaussian]:
    """Both Gaussians with parameters of one dtype; divergences of them are tensors, not arrays."""
    a, b = as_common_tensors(p, q, dtype)
    return a.with_array_kind(ArrayKind.TORCH), b.with_array_kind(ArrayKind.TORCH)


def _pairwise(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    if function is jeffreys:
        return _pairwise(p, q, kl_divergence) + _pairwise(q, p, kl_divergence).mT
    if function is hellinger:
        return from_bhattacharyya(_pairwise(p, q, bhattacharyya))
    form = _form(p, q, function) if len(p) and len(q) else None
    if form is None:
        return _tiled(p, q, function)
    if not any_requires_grad(*p.tensors(), *q.tensors()):
        return _screened(p, q, function, form)
    assert isinstance(form, ExpandedKL)
    exact = _screened(p.detach(), q.detach(), function, form.detach())
    return with_value(form.values(slice(None)).to(exact.dtype), exact)


def _form(p: Gaussian, q: Gaussian, function: Function) -> ExpandedKL | OnePass | None:
    """The fast form of a divergence, if there is one that has what is asked for."""
    if function is kl_divergence:
        return expanded(p, q, torch.float64)
    if function not in _ONE_PASS or any_requires_grad(*p.tensors(), *q.tensors()):
        return None
    return one_pass(_ONE_PASS[function], p, q)


# The divergences of full covariances that have such a form, which has no derivatives.
_ONE_PASS: dict[Function, type[OnePass]] = {bhattacharyya: Bhattacharyya, wasserstein2: Wasserstein2}


def _screened(p: Gaussian, q: Gaussian, function: Function, form: ExpandedKL | OnePass) -> Tensor:
    """The divergences by a fast form; those that are uncertain are computed again."""
    n, m, dtype = len(p), len(q), p.mean.dtype
    result = empty((n, m), dtype, p.device)
    step = max(1, form.pairs_at_once // max(m, 1))
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        values, uncertain = form.screened(rows, dtype)
        result[rows] = values
        if uncertain is not None and bool(uncertain.any()):
            _recompute(result[rows], uncertain, p[rows], q, function)
    return result


def _recompute(values: Tensor, uncertain: Tensor, p: Gaussian, q: Gaussian, function: Function) -> None:
    recompute(
        values,
        uncertain,
        whole_rows=lambda rows: function(p[rows][:, None], q),
        entries=lambda i, j: function(p[i], q[j]),
        rows_at_once=_pairs_at_once(p, q) // max(len(q), 1) + 1,
        entries_at_once=_pairs_at_once(p, q),
    )


def _pairs_at_once(p: Gaussian, q: Gaussian) -> int:
    """How many pairs are computed at once by the formula of single pairs."""
    numbers = p.event_size * (1 if p.scale.is_diagonal and q.scale.is_diagonal else p.event_size)
    return max(1, _ELEMENTS // max(numbers, 1))


def _tiled(p: Gaussian, q: Gaussian, function: Function) -> Tensor:
    """The divergences by broadcasting, some rows at a time."""
    step = max(1, _pairs_at_once(p, q) // max(len(q), 1))
    tiles = [from_callers_type(function(p[i : i + step][:, None], q)) for i in range(0, max(len(p), 1), step)]
    return torch.cat(tiles)


def as_batches(call: str, p: Any, q: Any, divergence: str | Function = "kl") -> tuple[Gaussian, Gaussian, Function]:
    """Both arguments as Gaussians of one batch dimension and equal events, and the divergence as a function.

    ``call`` is what errors write, with braces in the place of p and q.

    Raises:
        ShapeError: if p or q does not have exactly one batch dimension, or if the event shapes differ.
        ValueError: if the name is unknown, or if the divergence has a parameter that must be given.
    """
    function, called, further = _function_of(divergence)
    p, q = gaussians_for(called, p, q, f"{call[:-1]}{further})")
    for name, g in (("p", p), ("q", q)):
        if len(g.batch_shape) != 1:
            raise ShapeError(
                f"{name} has batch shape {tuple(g.batch_shape)}, but exactly one batch dimension, (n,), is needed. "
                f"Make a single Gaussian a batch of one with {name}[None]."
            )
    check_events(p, q)
    return p, q, function


def _function_of(divergence: str | Function) -> tuple[Function, str, str]:
    """The function, what errors call it, and what a call has for it after p and q.

    Raises:
        ValueError: if the name is unknown, or if the divergence has a parameter that must be given.
    """
    if callable(divergence):
        name = getattr(divergence, "__name__", "")
        known = any(record.name == name and function_of(record) is divergence for record in RECORDS)
        return (divergence, name, f", {name}") if known else (divergence, "this divergence", ", divergence")
    record = record_of(divergence)
    if record.required:
        parameter = record.required[0].name
        raise ValueError(
            f"{divergence} needs {parameter}. Pass a function that sets it: "
            f"divergence=lambda p, q: {record.name}(p, q, {parameter}=...)."
        )
    return function_of(record), record.name, "" if divergence == "kl" else f", {divergence!r}"


class Augmented(NamedTuple):
    """Vectors whose inner products are negated Kullback–Leibler divergences, in float64."""

    p: Any
    """The query vector of each Gaussian of p: ``(n, 2d + 2)``."""
    q: Any
    """The database vector of each Gaussian of q: ``(m, 2d + 2)``."""


def augmented(p: Any, q: Any) -> Augmented:
    r"""Vectors :math:`a_i, b_j` with :math:`\langle a_i, b_j \rangle = -D(p_i \,\|\, q_j)`, for a vector index.

    The nearest Gaussian under the Kullback–Leibler divergence has the largest inner product. The vectors are float64,
    because the inner product cancels: in float32 rounding decides between neighbours whose divergences differ by less
    than about :math:`10^{-6}` of the absolute terms. An approximate index may also have low recall if it assumes
    vectors of similar length: those of narrow Gaussians are longer than the others by
    :math:`\tfrac12 \sum \mu^2 / v`.
    :func:`nearest` is exact; measure recall against it.

    Shape:
        ``(n, 2d + 2)`` and ``(m, 2d + 2)`` for batches of shapes ``(n,)`` and ``(m,)`` in d coordinates.
    Units:
        Nats.
    Gradient:
        Flows to p and q.

    Args:
        p: a batch of diagonal Gaussians, the queries.
        q: a batch of diagonal Gaussians, the database.

    Returns:
        ``Augmented(p, q)``: two tensors, or NumPy arrays if p and q were given as NumPy arrays.

    Raises:
        ShapeError: if p or q does not have exactly one batch dimension, or if the event shapes differ.
        ValueError: if p or q is not diagonal.

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
    p, q, _ = as_batches("augmented({})", p, q)
    if not (p.scale.is_diagonal and q.scale.is_diagonal):
        got = f"{p.scale.parameterization} and {q.scale.parameterization}"
        raise ValueError(f"augmented takes diagonal Gaussians, got {got}. pairwise and nearest take any pair.")
    kind = common_array_kind((p.array_kind, q.array_kind))
    expansion = expanded_diagonals(*as_torch(p, q, torch.float64), torch.float64)
    queries = -torch.cat([expansion.left, expansion.constant[:, None]], -1)
    vectors = torch.cat([expansion.right, torch.ones_like(expansion.right[:, :1])], -1)
    return Augmented(to_callers_type(queries, kind), to_callers_type(vectors, kind))
