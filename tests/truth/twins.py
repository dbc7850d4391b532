"""A kernel and the plain formula that it stands for, on the same operands."""

import torch
from torch.testing import assert_close

from kullback import kernels, kl_divergence
from kullback.kernels import choice, selected
from truth import oracle
from truth.kinds import MAKE
from truth.regimes import pair
from truth.scalars import CONTRACT, scalars

PRESENT = [
    backend.name
    for backend in choice.BACKENDS
    if backend.kernels and backend.name != "triton" and not backend.unavailable_reason()
]
"""The names of the backends that compute on a CPU here, and have kernels."""

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


def divergence(a, b, c, d, given="std", **named):
    return kl_divergence(MAKE[given](a, b, **named), MAKE[given](c, d, **named))


def answering(body, dtype):
    """Which backend computes pairs of diagonals where a body is asked for."""
    return "reference" if body == "torch" and dtype == torch.float64 else body


def check_each_coordinate(backend, given, regime, dtype, device="cpu"):
    """Values and gradients of one-dimensional Gaussians are within the contract."""
    x = tuple(v.to(device).requires_grad_() for v in pair(regime, given, dtype))
    p, q = scalars(*x[:2], given), scalars(*x[2:], given)
    assert selected(p, q).backend == backend
    value = kl_divergence(p, q)
    truths = oracle.truths([v.cpu() for v in x], given, given)
    assert oracle.ulps(value.cpu(), [t.value for t in truths]) <= CONTRACT
    gradients = torch.autograd.grad(value.sum(), x)
    for name, gradient in zip(("mean_p", "scale_p", "mean_q", "scale_q"), gradients, strict=True):
        sizes = [t.scale_q_parts if name == "scale_q" else getattr(t, name) for t in truths]
        assert oracle.ulps(gradient.cpu(), [getattr(t, name) for t in truths], sizes) <= CONTRACT, name


def full_divergence(a, b, c, d, kind):
    return kl_divergence(MAKE[kind](a, b, validate=False), MAKE[kind](c, d, validate=False))


def full_selection(x, kind):
    return selected(MAKE[kind](*x[:2], validate=False), MAKE[kind](*x[2:], validate=False))


def check_full_pairs(backend, n, kind, device="cpu", counts=None):
    """Values and gradients of full Gaussians are those of the formula in double."""
    for rows in counts or ((1, 7, 8, 9, 20) if n < 33 else (1, 3)):
        for dtype in (torch.float32, torch.float64):
            leaves = [v.to(device).requires_grad_() for v in full_operands(rows, n, kind, dtype)]
            assert full_selection(leaves, kind).backend == backend
            weight = torch.linspace(0.5, 2, rows, dtype=torch.float64)
            value = full_divergence(*leaves, kind)
            found = torch.autograd.grad(value, leaves, weight.to(value))
            wide = [v.detach().cpu().double().requires_grad_() for v in leaves]
            with kernels.use("reference"):
                want = full_divergence(*wide, kind)
                truths = torch.autograd.grad(want, wide, weight)
            # Within 450 units in the last place; condition numbers are below 20, which either side feels.
            eps = 450 * torch.finfo(dtype).eps
            assert value.dtype == dtype
            assert_close(value.cpu().double(), want, rtol=eps, atol=0)
            for got, truth in zip(found, truths, strict=True):
                assert_close(got.cpu().double(), truth, rtol=eps, atol=eps * float(truth.abs().max()))
