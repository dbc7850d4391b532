"""Every divergence and every pair of parameterizations under everything that torch can do: one table."""

import shutil

import pytest
import torch
from torch.testing import assert_close
from truth.kinds import KINDS, MAKE, build, operands
from truth.records import FUNCTIONS, takes
from truth.versions import needs_torch_2_8

import kullback
from kullback import Gaussian
from kullback.divergences.registry import RECORDS

PAIRS = [(a, b) for a in KINDS for b in KINDS]
TABLE = [(name, pair) for name in FUNCTIONS for pair in PAIRS if takes(name, *pair)]


def caller(name, pair):
    def f(mean_p, raw_p, mean_q, raw_q):
        return FUNCTIONS[name](build(pair[0], mean_p, raw_p), build(pair[1], mean_q, raw_q))

    return f


@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_and_second_derivatives_are_those_of_small_steps(name):
    for pair in [p for n, p in TABLE if n == name]:
        inputs = tuple(x.requires_grad_() for x in operands(batch=()))
        f = caller(name, pair)
        assert torch.autograd.gradcheck(f, inputs), pair
        assert torch.autograd.gradgradcheck(f, inputs), pair


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_neighbours_far_and_near_pass_the_checks_too(name):
    """The forms for near and far pairs join within a divergence; each has its own derivatives."""
    for pair in [p for n, p in TABLE if n == name and p[0] == p[1]]:
        mean, raw = operands(batch=(), seed=1)[:2]
        if name in ("renyi above 1", "chi_squared"):  # infinite if farther
            far = (mean, raw - 0.2, -mean, raw + 0.2)
        else:
            far = (mean, 5 * raw, -mean, -5 * raw)
        for points in ((mean, raw, mean + 0.01, raw + 0.003), far):
            inputs = tuple(x.clone().requires_grad_() for x in points)
            assert torch.autograd.gradcheck(caller(name, pair), inputs), pair
            assert torch.autograd.gradgradcheck(caller(name, pair), inputs), pair


@pytest.mark.parametrize("name", FUNCTIONS)
def test_vmap_jvp_vjp_and_hessian_agree_with_the_batch(name):
    for pair in [p for n, p in TABLE if n == name]:
        f, x = caller(name, pair), operands()
        want = f(*x)
        assert_close(torch.func.vmap(f)(*x), want, rtol=1e-13, atol=0)
        tangents = tuple(torch.ones_like(v) for v in x)
        _, forward = torch.func.jvp(f, x, tangents)
        _, pull = torch.func.vjp(f, *x)
        reverse = sum(g.flatten(1).sum(1) for g in pull(torch.ones_like(want)))
        assert_close(forward, reverse)
        if pair[0] != pair[1]:
            continue
        single = tuple(v[0] for v in x)
        hessian = torch.func.hessian(f, argnums=(0, 1))(*single)
        assert all(torch.isfinite(block).all() for row in hessian for block in row)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_it_compiles_to_one_graph(name):
    # One pair for each row of the table that tells pairs apart; one where only the last operation is another.
    rows = [("logvar",) * 2, ("low_rank", "std"), ("precision",) * 2, ("scale_tril",) * 2, ("covariance",) * 2]
    derived = name in ("bhattacharyya", "hellinger", "chi_squared", "geometric_jensen_shannon", "entropy")
    for pair in rows[-1:] if derived else [row for row in rows if (name, row) in TABLE]:
        torch.compiler.reset()
        x = operands()
        compiled = torch.compile(caller(name, pair), fullgraph=True, backend="aot_eager")
        assert_close(compiled(*x), caller(name, pair)(*x), rtol=1e-12, atol=1e-15)


@needs_torch_2_8
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile generates C++ and needs a compiler")
@pytest.mark.parametrize("kind", ["covariance", "low_rank"])
def test_the_default_compiler_compiles_it_too(kind):
    x = operands()
    compiled = torch.compile(caller("kl", (kind, kind)), fullgraph=True)
    assert_close(compiled(*x), caller("kl", (kind, kind))(*x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_autocast_changes_nothing_half_precision_is_float32_and_meta_tensors_have_shapes(name):
    for pair in [p for n, p in TABLE if n == name]:
        x = operands(torch.float32)
        p, q = build(pair[0], *x[:2]), build(pair[1], *x[2:])
        want = FUNCTIONS[name](p, q)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert_close(FUNCTIONS[name](p, q), want, rtol=0, atol=0)
        half = [g.to(torch.bfloat16) for g in (p, q)]
        value = FUNCTIONS[name](*half)
        assert value.dtype == torch.float32
        exact = FUNCTIONS[name](*(g.to(torch.float32) for g in half))
        # A kernel takes float32, the formula takes what has to be converted.
        assert_close(value, exact, rtol=4 * torch.finfo(torch.float32).eps, atol=0)
        shapes = FUNCTIONS[name](p.to("meta"), q.to("meta"))
        assert shapes.device.type == "meta"
        assert shapes.shape == want.shape


@pytest.mark.parametrize("name", FUNCTIONS)
def test_batches_broadcast_and_rows_are_independent(name):
    for pair in [p for n, p in TABLE if n == name]:
        x = operands(batch=(4,))
        p, q = build(pair[0], *x[:2]), build(pair[1], *x[2:])
        every = FUNCTIONS[name](Gaussian.stack([p] * 3), q)
        assert every.shape == (3, 4)
        whole = FUNCTIONS[name](p, q)
        assert_close(every, whole.expand(3, 4), rtol=1e-12, atol=1e-15)
        one = FUNCTIONS[name](p[1], q)
        assert one.shape == (4,)
        assert_close(one[1], whole[1], rtol=1e-12, atol=1e-15)
        assert FUNCTIONS[name](p[:0], q[:0]).shape == (0,)


@pytest.mark.parametrize("kind", KINDS)
def test_at_equality_values_and_gradients_are_exactly_zero(kind):
    functions = [(name, f) for name, f in FUNCTIONS.items() if name not in ("cross_entropy", "entropy")]
    functions += [(record.module, getattr(kullback, record.name)) for record in RECORDS if record.metric]
    for name, f in functions:
        if not takes(name, kind):
            continue
        mean, raw = operands()[:2]
        p = build(kind, mean, raw).detach()
        leaves = [[x.clone().requires_grad_() for x in p.tensors()] for _ in range(2)]
        pair = [MAKE[kind](*x) for x in leaves]
        value = f(*pair)
        assert (value == 0).all(), name
        for gradient in torch.autograd.grad(value.sum(), [*leaves[0], *leaves[1]]):
            assert (gradient == 0).all(), name
