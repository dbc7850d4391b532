"""A kernel and the plain formula that it stands for, on the same operands."""

import torch
from torch.testing import assert_close

from kullback.kernels import choice

PRESENT = [backend.name for backend in choice.BACKENDS if backend.kernels and not backend.unavailable_reason()]
"""The names of the backends that are here and have kernels."""

FULL = ("covariance", "scale_tril")
"""The kinds of full Gaussians that kernels know."""


def operands(*shape, dtype=torch.float32, seed=0):
    """Positive throughout, so that any of them may be a mean or a scale of any kind."""
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, dtype=torch.float64, generator=g).mul(2).add(0.2).to(dtype) for _ in range(4)]


def full_operands(rows, n, kind, dtype=torch.float64, seed=0):
    """Means and well-conditioned matrices."""
    g = torch.Generator().manual_seed(seed)
    noise = [torch.randn(rows, n, n, generator=g, dtype=torch.float64) / n**0.5 for _ in range(2)]
    means = [torch.randn(rows, n, generator=g, dtype=torch.float64) for _ in range(2)]
    matrices = [x @ x.mT + 0.5 * torch.eye(n, dtype=torch.float64) for x in noise]
    if kind == "scale_tril":
        matrices = [torch.linalg.cholesky(x) for x in matrices]
    return [x.to(dtype) for x in (means[0], matrices[0], means[1], matrices[1])]


def both(f, leaves, by_formula):
    """Value and gradients by the body and by the formula."""

    def run():
        at = [x.detach().requires_grad_() if x.requires_grad else x for x in leaves]
        value = f(*at)
        wanted = [x for x in at if x.requires_grad]
        weight = torch.linspace(0.5, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
        return value, torch.autograd.grad(value, wanted, weight) if wanted else ()

    return run(), by_formula(run)


def close(got, want, n, terms=4):
    """Rows within 4 + log2(n) units in the last place on either side; gradients within 4, of their largest part."""
    eps = torch.finfo(want.dtype).eps
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    assert_close(got, want, rtol=2 * (terms + max(n, 1).bit_length()) * eps, atol=0)
