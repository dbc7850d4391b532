"""Full Gaussians by the linear algebra of torch: the formulas of ``native/full.h``, a batch at a time.

Where N is small, the difference of the two factors has lost digits of it. The reference formula computes the values of
those pairs; their derivatives are not affected. On GPUs, where launches take longer than arithmetic, float32 pairs are
computed in float64 instead, which has digits to lose.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kullback.kernels.autograd import kl_reference
from kullback.kernels.layout import MATRICES, Layout
from kullback.kernels.protocol import Inputs, Work
from kullback.numerics.elementary import half_phi, log_ratio
from kullback.numerics.linear_algebra import (
    cholesky,
    identity_like,
    solve_lower,
    solve_lower_vector,
    solve_upper,
    symmetrized,
)
from kullback.numerics.tensors import no_autocast

# Up to this squared norm of N the reference formula computes the value.
_NEAR = 0.0625


class Parts(NamedTuple):
    """Lower factors of both, N of the relative one I + N, and the whitened difference of the means."""

    factor_p: Tensor
    factor_q: Tensor
    n: Tensor
    y: Tensor


class FactoredKernel:
    """Pairs of covariances or of Cholesky factors, by the linear algebra of torch."""

    def unsupported_reason(self, work: Work, inputs: Inputs) -> str | None:
        """Why this cannot do it; None if it can."""
        served = work == "kl" and inputs.parameterization in MATRICES and inputs.tensors[0].device.type != "mps"
        return None if served else "divergences of pairs of full Gaussians, where there is float64"

    def in_one_pass(self, layout: Layout) -> bool:
        """They are: both need the factors."""
        return True

    def value(self, tensors: Sequence[Tensor], layout: Layout) -> Tensor:
        """The divergence of each row."""
        rows = _by_rows(tensors, layout)
        with no_autocast(tensors[0].device):
            return _value(rows, layout, _parts(rows, layout.parameterization), tensors[0].dtype)

    def gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        """The derivatives of the weighted sum of the rows' divergences, with respect to each tensor."""
        with no_autocast(tensors[0].device):
            parts = _parts(_by_rows(tensors, layout), layout.parameterization)
            return _gradients(parts, layout, weight, wanted, tensors[0].dtype)

    def value_and_gradients(
        self, tensors: Sequence[Tensor], layout: Layout, weight: Tensor, wanted: Sequence[bool]
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Both from the same factors."""
        rows = _by_rows(tensors, layout)
        with no_autocast(tensors[0].device):
            parts = _parts(rows, layout.parameterization)
            value = _value(rows, layout, parts, tensors[0].dtype)
            return value, _gradients(parts, layout, weight, wanted, tensors[0].dtype)


def _by_rows(tensors: Sequence[Tensor], layout: Layout) -> list[Tensor]:
    """With one batch dimension, of one row where all rows share an operand; in the dtype that is computed in."""
    n, dtype = layout.n, tensors[0].dtype if tensors[0].is_cpu else torch.float64
    shapes = ((n,), (n, n)) * 2
    rows = [layout.n_rows if step else 1 for step in layout.row_stride]
    strides = [
        (step, 1) if len(shape) == 1 else (step, n, 1) for step, shape in zip(layout.row_stride, shapes, strict=True)
    ]
    each = zip(tensors, rows, shapes, strides, strict=True)
    return [x.detach().as_strided((m, *shape), stride).to(dtype) for x, m, shape, stride in each]


def _parts(x: Sequence[Tensor], kind: str) -> Parts:
    mean_p, scale_p, mean_q, scale_q = x
    factor_p, factor_q = (
        (cholesky(symmetrized(s)) for s in (scale_p, scale_q))
        if kind == "covariance"
        else (_valid(s) for s in (scale_p, scale_q))
    )
    n = solve_lower(factor_q, factor_p - factor_q)
    return Parts(factor_p, factor_q, n, solve_lower_vector(factor_q, mean_p - mean_q))


def _valid(factor: Tensor) -> Tensor:
    """The lower triangle; NaN where its diagonal is not positive."""
    positive = (factor.diagonal(dim1=-2, dim2=-1) > 0.0).all(-1)
    return torch.where(positive[:, None, None], factor.tril(), torch.nan)


def _value(x: Sequence[Tensor], layout: Layout, parts: Parts, dtype: torch.dtype) -> Tensor:
    factor_p, factor_q, n, y = parts
    a, b = factor_p.diagonal(dim1=-2, dim2=-1), factor_q.diagonal(dim1=-2, dim2=-1)
    squares = n.tril(-1).square().sum((-2, -1))
    rest = 0.5 * squares + 0.5 * y.square().sum(-1)
    if a.dtype != dtype:
        t = (a - b) / b
        log = ((a - b) / torch.minimum(a, b)).abs().log1p().copysign(t)
        result = (t - log).addcmul(t, t, value=0.5).sum(-1) + rest
    else:
        result = half_phi(2.0 * log_ratio(a, b)).sum(-1) + rest
        if layout.parameterization == "covariance":
            near = squares + n.diagonal(dim1=-2, dim2=-1).square().sum(-1) < _NEAR
            result = _sharpened(result, near, x, layout)
    return result.to(dtype).expand(layout.n_rows).reshape(layout.batch)


def _sharpened(result: Tensor, near: Tensor, x: Sequence[Tensor], layout: Layout) -> Tensor:
    """The values of the reference formula for the rows that are near."""
    if not near.is_cpu:
        # Of all rows, since asking whether there are any would make the CPU wait for the device.
        return torch.where(near, kl_reference(x, layout.parameterization, 1), result)
    if bool(near.any()):
        rows = [v[near.expand(layout.n_rows)] if len(v) > 1 else v for v in x]
        result = result.expand(layout.n_rows).clone()
        result[near.expand(layout.n_rows)] = kl_reference(rows, layout.parameterization, 1)
    return result


def _gradients(
    parts: Parts, layout: Layout, weight: Tensor, wanted: Sequence[bool], dtype: torch.dtype
) -> list[Tensor | None]:
    factor_p, factor_q, n, y = parts
    w = weight.expand(layout.batch).reshape(layout.n_rows, 1, 1)
    factors = layout.parameterization == "scale_tril"
    found: list[Tensor | None] = [None] * 4
    identity = identity_like(n)
    if wanted[0] or wanted[2]:
        slope = w[..., 0] * solve_upper(factor_q.mT, y.unsqueeze(-1)).squeeze(-1)
        found[0], found[2] = (slope if wanted[0] else None), (-slope if wanted[2] else None)
    if not (wanted[1] or wanted[3]):
        return _shaped(found, layout, dtype)
    inverse_q = solve_lower(factor_q, identity.expand_as(factor_q))
    if wanted[1]:
        inverse_p = solve_lower(factor_p, identity.expand_as(factor_p))
        r = n @ (inverse_p @ factor_q)
        if factors:
            found[1] = (inverse_q.mT @ (n + r.mT)).tril_().mul(w)
        else:
            found[1] = symmetrized(inverse_p.mT @ (n.mT + r) @ inverse_q).mul(0.5 * w)
    if wanted[3]:
        excess = torch.addcmul(n + n.mT, y.unsqueeze(-1), y.unsqueeze(-2)) + n @ n.mT
        if factors:
            found[3] = (inverse_q.mT @ excess).tril_().mul(-w)
        else:
            found[3] = symmetrized(inverse_q.mT @ excess @ inverse_q).mul(-0.5 * w)
    return _shaped(found, layout, dtype)


def _shaped(found: Sequence[Tensor | None], layout: Layout, dtype: torch.dtype) -> list[Tensor | None]:
    pairs = zip(found, layout.shapes, strict=True)
    return [x if x is None else x.to(dtype).expand(layout.n_rows, *x.shape[1:]).reshape(shape) for x, shape in pairs]
