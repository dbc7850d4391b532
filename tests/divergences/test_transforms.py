"""The formulas are plain operations: they work wherever torch operations work."""

import shutil

import pytest
import torch
from torch.testing import assert_close
from torch.utils import _pytree as pytree
from truth.kinds import DIAGONAL, MAKE
from truth.versions import needs_torch_2_8

from kullback import Gaussian, kl_divergence, kl_per_dimension

FUNCTIONS = [kl_divergence, kl_per_dimension]

# Plain calls may be answered by a kernel, whose rows differ from the formula's by a few units in the last place; under
# a transform the formula answers.
BODIES_AGREE = 4 * torch.finfo(torch.float64).eps


@pytest.fixture(params=DIAGONAL)
def make(request):
    return MAKE[request.param]


@pytest.fixture
def operands():
    """Positive everywhere, so that any of them can be a mean or a scale of any kind; near and far ratios."""
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.rand(6, 4, dtype=torch.float64, generator=generator) * 3 + 0.1 for _ in range(4))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_vmap_over_tensors_and_over_gaussians_is_the_batch(function, make, operands):
    def single(a, b, c, d):
        return function(make(a, b), make(c, d))

    want = single(*operands)
    assert_close(torch.func.vmap(single)(*operands), want, rtol=BODIES_AGREE, atol=0)
    p, q = make(*operands[:2]), make(*operands[2:])
    assert_close(torch.func.vmap(function)(p, q), want, rtol=BODIES_AGREE, atol=0)
    assert_close(
        torch.func.vmap(function, in_dims=(0, None))(p, Gaussian.standard(4)), function(p, Gaussian.standard(4))
    )


def test_forward_mode_agrees_with_reverse_mode(make, operands):
    def f(*x):
        return kl_divergence(make(*x[:2]), make(*x[2:])).sum()

    tangents = tuple(torch.ones_like(x) for x in operands)
    _, forward = torch.func.jvp(f, operands, tangents)
    reverse = torch.func.grad(f, argnums=(0, 1, 2, 3))(*operands)
    assert_close(forward, sum(g.sum() for g in reverse))
    by_autograd = torch.autograd.grad(f(*(leaves := [x.clone().requires_grad_() for x in operands])), leaves)
    assert_close(tuple(reverse), tuple(by_autograd))


def test_the_hessian_at_the_prior_is_the_fisher_information():
    def f(logvar):
        return kl_divergence(Gaussian.from_logvar(torch.zeros(3), logvar), Gaussian.standard(3))

    assert_close(torch.func.hessian(f)(torch.zeros(3)), 0.5 * torch.eye(3))


def test_per_sample_gradients_by_vmap_of_grad_are_those_row_by_row(make, operands):
    def f(a, b, c, d):
        return kl_divergence(make(a, b), make(c, d))

    per_row = torch.func.vmap(torch.func.grad(f, argnums=1))(*operands)
    leaf = operands[1].clone().requires_grad_()
    (whole,) = torch.autograd.grad(f(operands[0], leaf, *operands[2:]).sum(), leaf)
    assert_close(per_row, whole)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_compiles_to_one_graph_with_the_constructors_inside(function, make, operands):
    def f(a, b, c, d):
        return function(make(a, b), make(c, d)) + function(make(a, b), Gaussian.standard(4))

    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    assert_close(compiled(*operands), f(*operands), rtol=BODIES_AGREE, atol=0)


def test_gradients_flow_through_a_compiled_divergence_of_gaussians(make, operands):
    compiled = torch.compile(kl_divergence, fullgraph=True, backend="aot_eager")
    leaves = [x.clone().requires_grad_() for x in operands]
    value = compiled(make(*leaves[:2]), make(*leaves[2:]))
    gradients = torch.autograd.grad(value.sum(), leaves)
    eager = torch.autograd.grad(kl_divergence(make(*leaves[:2]), make(*leaves[2:])).sum(), leaves)
    assert_close(gradients, eager)


@needs_torch_2_8
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile generates C++ and needs a compiler")
def test_the_default_compiler_keeps_the_digits(make):
    """It reassociates sums and takes expm1 for exp - 1, and may lose what the two-sum saves, but nothing near p = q."""
    scale = torch.linspace(0.5, 2, 500, requires_grad=True)
    p, q = (make(torch.zeros(500), x, event_dims=0) for x in (scale, (scale * (1 + 2**-12)).detach()))
    value, want = torch.compile(kl_divergence, fullgraph=True)(p, q), kl_divergence(p, q)
    assert_close(value, want, rtol=8 * torch.finfo(torch.float32).eps, atol=0)
    gradients = [torch.autograd.grad(v.sum(), scale)[0] for v in (value, want)]
    assert_close(*gradients, rtol=8 * torch.finfo(torch.float32).eps, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(make, operands, dtype):
    p, q = make(*(x.to(dtype) for x in operands[:2])), make(*(x.to(dtype) for x in operands[2:]))
    want = kl_divergence(p, q)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = kl_divergence(p, q)
    assert got.dtype == torch.float32
    assert_close(got, want, rtol=0, atol=0)


def test_meta_tensors_give_shapes_without_values(make):
    x = torch.empty(7, 4, device="meta", dtype=torch.bfloat16)
    value = kl_divergence(make(x, x), Gaussian.standard(4))
    assert value.device.type == "meta"
    assert value.shape == (7,)
    assert value.dtype == torch.float32


def test_make_fx_and_jit_trace_see_only_torch_operations(make, operands):
    def f(a, b, c, d):
        return kl_divergence(make(a, b), make(c, d))

    traced = torch.fx.experimental.proxy_tensor.make_fx(f)(*operands)
    other = tuple(x.flip(0) for x in operands)
    assert_close(traced(*other), f(*other), rtol=BODIES_AGREE, atol=0)


def test_a_gaussian_is_a_pytree_of_its_tensors(make, operands):
    p = make(*operands[:2])
    leaves, spec = pytree.tree_flatten(p)
    assert len(leaves) == 2
    assert leaves[0] is operands[0]
    again = pytree.tree_unflatten([2 * x for x in leaves], spec)
    assert_close(again.mean, 2 * operands[0])
    assert again.scale.parameterization == p.scale.parameterization
    assert pytree.tree_flatten(Gaussian.standard(4))[0] == []


@needs_torch_2_8
def test_a_module_that_takes_gaussians_can_be_exported(make, operands):
    class Loss(torch.nn.Module):
        def forward(self, p, q):
            return kl_divergence(p, q)

    p, q = make(*operands[:2]), make(*operands[2:])
    exported = torch.export.export(Loss(), (p, q), strict=False)
    assert_close(exported.module()(p, q), kl_divergence(p, q), rtol=BODIES_AGREE, atol=0)
