"""Every faster body is the formula's twin: over the oracle grid, every layout, and wherever it may not run at all."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import Parameter
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from truth import exact, oracle, pairs
from truth.kinds import DIAGONAL, MAKE
from truth.oracle import ulps as units
from truth.regimes import REGIMES, pair
from truth.scalars import CONTRACT, scalars

import kullback
from kullback import Gaussian, ShapeError, kernels, kl_divergence
from kullback.kernels import choice, native_kernel, selected
from kullback.losses import kl_loss

PRESENT = [backend.name for backend in choice.BACKENDS if backend.kernels and not backend.unavailable_reason()]
NAMES = ("mean_p", "scale_p", "mean_q", "scale_q")


@pytest.fixture(params=PRESENT)
def body(request):
    """One of the bodies that are here, forced."""
    with kernels.use(request.param):
        yield request.param


@pytest.fixture(params=[0, 1])
def older_machine(request):
    """The C library as a machine with fewer instructions would run it."""
    if native_kernel.unavailable_reason():
        pytest.skip(native_kernel.unavailable_reason())
    native_kernel.allow(request.param)
    with kernels.use("native"):
        yield
    native_kernel.allow(2)


@pytest.fixture
def by_formula():
    def call(f, *args):
        with kernels.use("reference"):
            return f(*args)

    return call


def operands(*shape, dtype=torch.float32, seed=0):
    """Positive throughout, so that any of them may be a mean or a scale of any kind."""
    g = torch.Generator().manual_seed(seed)
    return [torch.rand(shape, dtype=torch.float64, generator=g).mul(2).add(0.2).to(dtype) for _ in range(4)]


def divergence(a, b, c, d, given="std", **named):
    return kl_divergence(MAKE[given](a, b, **named), MAKE[given](c, d, **named))


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_each_coordinate_is_within_four_units_in_the_last_place_of_the_truth(body, given, regime, dtype):
    check_each_coordinate(given, regime, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_machines_with_fewer_instructions_are_as_exact(older_machine, given, regime, dtype):
    check_each_coordinate(given, regime, dtype)


def check_each_coordinate(given, regime, dtype):
    x = tuple(v.requires_grad_() for v in pair(regime, given, dtype))
    p, q = scalars(*x[:2], given), scalars(*x[2:], given)
    assert selected(p, q).backend != "reference"
    value = kl_divergence(p, q)
    truths = oracle.truths(x, given, given)
    assert units(value, [t.value for t in truths]) <= CONTRACT
    gradients = torch.autograd.grad(value.sum(), x)
    for name, gradient in zip(NAMES, gradients, strict=True):
        sizes = [t.scale_q_parts if name == "scale_q" else getattr(t, name) for t in truths]
        assert units(gradient, [getattr(t, name) for t in truths], sizes) <= CONTRACT, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 15, 16, 17, 33, 255, 256, 257, 511, 512, 513, 1500, 5000])
def test_rows_of_any_length_are_those_of_the_formula_in_double(body, n, dtype):
    for rows in (1, 3, 700 if n < 600 else 5):
        for given in DIAGONAL:
            x = operands(rows, n, dtype=dtype)
            p, q = MAKE[given](*x[:2]), MAKE[given](*x[2:])
            want = kullback.kl_per_dimension(p.to(torch.float64), q.to(torch.float64)).sum(-1)
            got = kl_divergence(p, q)
            assert_close(got.double(), want, rtol=(4 + n.bit_length()) * torch.finfo(dtype).eps, atol=0)


LAYOUTS = {
    "contiguous": lambda x: x,
    "rows apart, as chunks of an encoder's output": lambda x: torch.cat([x, x], -1).chunk(2, -1)[1],
    "transposed": lambda x: x.mT.contiguous().mT,
    "every other row": lambda x: torch.stack([x, x], 1).flatten(0, 1)[::2],
    "every other coordinate": lambda x: torch.stack([x, x], -1).flatten(-2)[..., ::2],
    "one row for all, expanded": lambda x: x[:1].expand_as(x),
    "one row for all, of no batch": lambda x: x[0],
    "one row for all, of batch 1": lambda x: x[:1],
}


@pytest.mark.parametrize("n", [3, 40, 600])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_operands_may_lie_in_memory_as_they_like(body, by_formula, layout, n):
    for which in ((0,), (1,), (2, 3), (0, 1, 2, 3)):
        x = operands(6, n)
        x = [LAYOUTS[layout](v) if i in which else v for i, v in enumerate(x)]
        for wanted in ((0, 1, 2, 3), (1,), (2, 3), ()):
            leaves = [v.requires_grad_() if i in wanted else v.detach() for i, v in enumerate(x)]
            named = {"event_dims": 1}
            (value, found), (want, truths) = both(lambda *v, named=named: divergence(*v, **named), leaves, by_formula)
            close(value, want, n)
            for got, truth in zip(found, truths, strict=True):
                assert got.shape == truth.shape
                # A gradient is a sum of parts of both signs, here of the size of 1 a row.
                assert_close(got, truth, rtol=2e-5, atol=2e-6 * 6)


def test_operands_lie_as_chunks_without_being_copied(body):
    from kullback.kernels.layout import laid_out

    h = torch.rand(6, 20) + 0.1
    a, b = h.chunk(2, -1)
    tensors, layout = laid_out((a, b, a, b), "std", 1)
    assert all(x is y for x, y in zip(tensors, (a, b, a, b), strict=True))
    assert layout.row_stride == (20,) * 4


@pytest.mark.parametrize("shapes", [((5, 4), (3, 5, 4)), ((3, 1, 4), (5, 4)), ((4,), (4,)), ((2, 3, 2, 2), (3, 2, 2))])
def test_batches_broadcast(body, by_formula, shapes):
    event = 3 if len(shapes[0]) == 4 else 1
    x = [*operands(*shapes[0])[:2], *operands(*shapes[1])[2:]]
    leaves = [v.requires_grad_() for v in x]
    (value, found), (want, truths) = both(lambda *v: divergence(*v, event_dims=event), leaves, by_formula)
    close(value, want, 12)
    for got, truth in zip(found, truths, strict=True):
        assert_close(got, truth, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("given", DIAGONAL)
def test_numbers_and_the_standard_normal_are_served(body, by_formula, given):
    x = operands(5, 40)
    p = MAKE[given](*x[:2])
    others = [
        Gaussian.standard(40),
        MAKE[given](x[2], 0.5),
        MAKE[given](x[2], torch.tensor(0.5)),
        Gaussian.from_std(x[2], 2.0),
    ]
    for q in others:
        for pair_ in ((p, q), (q, p)):
            assert selected(*pair_).backend == body
            close(kl_divergence(*pair_), by_formula(kl_divergence, *pair_), 40)
    scalar = torch.tensor(0.5, requires_grad=True)
    value = kl_divergence(p, MAKE[given](x[2], scalar)).sum()
    (got,) = torch.autograd.grad(value, scalar)
    (want,) = torch.autograd.grad(by_formula(kl_divergence, p, MAKE[given](x[2], scalar)).sum(), scalar)
    assert_close(got, want)


def test_equal_gaussians_are_exactly_zero_apart_with_gradients_zero(body):
    for given in DIAGONAL:
        for n in (3, 40, 600):
            a, b = operands(4, n)[:2]
            leaves = [v.clone().requires_grad_() for v in (a, b, a, b)]
            value = divergence(*leaves, given=given)
            assert (value == 0).all()
            assert all((g == 0).all() for g in torch.autograd.grad(value.sum(), leaves))


@pytest.mark.parametrize("given", DIAGONAL)
def test_nan_and_infinity_stay_what_they_are(body, given):
    for n in (3, 40):
        for which in range(4):
            x = operands(4, n)
            x[which][2, 1] = torch.nan
            value = divergence(*x, given=given, validate=False)
            assert torch.isnan(value).tolist() == [False, False, True, False]
        x = operands(4, n)
        x[0][1, 0] = torch.inf
        assert divergence(*x, given=given)[1] == torch.inf
        if given != "logvar":
            for bad in (0.0, -1.0):
                for which in (1, 3):
                    x = operands(4, n)
                    x[which][2, 1] = bad
                    assert torch.isnan(divergence(*x, given=given, validate=False)).tolist() == [
                        False,
                        False,
                        True,
                        False,
                    ]


def test_a_second_derivative_is_that_of_the_formula(body, by_formula):
    for given in DIAGONAL:
        leaves = [v.requires_grad_() for v in operands(3, 4, dtype=torch.float64)]
        assert torch.autograd.gradcheck(lambda *v, g=given: divergence(*v, given=g), leaves)
        assert torch.autograd.gradgradcheck(lambda *v, g=given: divergence(*v, given=g), leaves)


def test_gradients_by_batches_of_vectors_are_those_one_by_one(body):
    leaves = [v.requires_grad_() for v in operands(3, 4, dtype=torch.float64)]
    value = divergence(*leaves)
    vectors = torch.eye(3, dtype=torch.float64)
    batched = torch.autograd.grad(value, leaves, vectors, is_grads_batched=True, retain_graph=True)
    for i in range(3):
        one = torch.autograd.grad(value, leaves, vectors[i], retain_graph=True)
        assert_close(tuple(b[i] for b in batched), one)


def test_one_tensor_in_two_places_has_the_sum_of_both_gradients(body, by_formula):
    x = operands(3, 4, dtype=torch.float64)
    shared = x[0].clone().requires_grad_()

    def run():
        return torch.autograd.grad(divergence(shared, shared, x[2], shared).sum(), shared, create_graph=True)[0]

    assert_close(run(), by_formula(run))


class Doubled(torch.Tensor):
    """A subclass: what it means is its own affair."""


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        return f(*args, **(kwargs or {}))


def test_where_plain_memory_may_not_be_read_the_formula_answers(body):
    x = operands(4, 5, dtype=torch.float64)
    want = divergence(*x)

    def check(*v):
        p, q = Gaussian.from_std(*v[:2], validate=False), Gaussian.from_std(*v[2:], validate=False)
        assert selected(p, q).backend == "reference", selected(p, q)
        return kl_divergence(p, q)

    close(torch.func.vmap(check)(*x), want, 5)
    close(torch.func.jvp(check, tuple(x), tuple(x))[0], want, 5)
    with torch.autograd.forward_ad.dual_level():
        close(check(*x), want, 5)
    with Mode():
        close(check(*x), want, 5)
    with torch.device("cpu"):
        close(check(*x), want, 5)
    close(torch.compile(check, fullgraph=True, backend="aot_eager")(*x), want, 5)
    other = [v.flip(0) for v in x]
    traced = torch.fx.experimental.proxy_tensor.make_fx(check)(*x)
    close(traced(*other), divergence(*other), 5)
    for which in range(4):
        close(
            check(*(v.as_subclass(Doubled) if i == which else v for i, v in enumerate(x))).as_subclass(torch.Tensor),
            want,
            5,
        )
        negated = [torch.complex(v, -v).conj().imag if i == which else v for i, v in enumerate(x)]
        assert negated[which].is_neg()
        close(check(*negated), want, 5)
    zero = torch._efficientzerotensor((4, 5), dtype=torch.float64)
    assert selected(Gaussian.from_std(x[0], x[1]), Gaussian.from_std(x[2], x[3])).backend == body
    close(
        check(zero, x[1], zero, x[3]),
        divergence(torch.zeros(4, 5, dtype=torch.float64), x[1], torch.zeros(4, 5, dtype=torch.float64), x[3]),
        5,
    )


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit.trace` is deprecated")
def test_a_trace_holds_torch_operations_and_no_addresses(body):
    x = operands(4, 5, dtype=torch.float64)
    traced = torch.jit.trace(lambda *v: divergence(*v, validate=False), tuple(x), check_trace=False)
    other = [v.flip(0) for v in x]
    close(traced(*other), divergence(*other), 5)


def test_parameters_are_served_and_half_precision_is_not(body):
    x = operands(4, 5)
    p, q = Gaussian.from_std(Parameter(x[0]), Parameter(x[1])), Gaussian.from_std(*x[2:])
    assert selected(p, q).backend == body
    kl_divergence(p, q).sum().backward()
    assert p.mean.grad is not None
    assert selected(p.to(torch.bfloat16), q).backend == "reference"
    assert selected(Gaussian.from_std(x[0][:0], x[1][:0]), q[:0]).backend == "reference"
    assert kl_divergence(p[:0], q[:0]).shape == (0,)


def test_shapes_that_do_not_fit_raise_as_ever(body):
    x = operands(4, 5)
    p = Gaussian.from_std(*x[:2])
    with pytest.raises(ShapeError, match="event shape"):
        kl_divergence(p, Gaussian.from_std(x[2][:, :4], x[3][:, :4]))
    with pytest.raises(ShapeError, match="do not broadcast"):
        kl_divergence(p, Gaussian.from_std(x[2][:3], x[3][:3]))
    with pytest.raises(ShapeError, match="event shape"):
        kl_divergence(p, Gaussian.from_std(x[2], x[3], event_dims=2))


def test_numpy_gives_numpy(body):
    p = Gaussian.from_std(*(v.numpy() for v in operands(4, 5)[:2]))
    assert type(kl_divergence(p, Gaussian.standard(5))).__module__ == "numpy"


FULL = ("covariance", "scale_tril")


def full_operands(rows, n, kind, dtype=torch.float64, seed=0):
    """Means and well-conditioned matrices."""
    g = torch.Generator().manual_seed(seed)
    noise = [torch.randn(rows, n, n, generator=g, dtype=torch.float64) / n**0.5 for _ in range(2)]
    means = [torch.randn(rows, n, generator=g, dtype=torch.float64) for _ in range(2)]
    matrices = [x @ x.mT + 0.5 * torch.eye(n, dtype=torch.float64) for x in noise]
    if kind == "scale_tril":
        matrices = [torch.linalg.cholesky(x) for x in matrices]
    return [x.to(dtype) for x in (means[0], matrices[0], means[1], matrices[1])]


def full_divergence(a, b, c, d, kind):
    make = getattr(Gaussian, f"from_{kind}")
    return kl_divergence(make(a, b, validate=False), make(c, d, validate=False))


def full_selection(x, kind):
    make = getattr(Gaussian, f"from_{kind}")
    return selected(make(*x[:2], validate=False), make(*x[2:], validate=False))


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 40, 47, 64, 89])
def test_full_pairs_have_the_formulas_values_and_gradients(body, by_formula, n, kind):
    check_full_pairs(body, by_formula, n, kind)


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("n", [5, 8, 32, 33, 48])
def test_full_pairs_on_machines_with_fewer_instructions(older_machine, by_formula, n, kind):
    check_full_pairs("native", by_formula, n, kind)


def check_full_pairs(body, by_formula, n, kind):
    for rows in (1, 7, 8, 9, 20) if n < 33 else (1, 3):
        for dtype in (torch.float32, torch.float64):
            leaves = [v.requires_grad_() for v in full_operands(rows, n, kind, dtype)]
            assert full_selection(leaves, kind).backend == body
            (value, found), _ = both(lambda *v: full_divergence(*v, kind), leaves, by_formula)
            wide = [v.detach().double().requires_grad_() for v in leaves]
            _, (want, truths) = both(lambda *v: full_divergence(*v, kind), wide, by_formula)
            # Within 450 units in the last place; condition numbers are below 20, which either side feels.
            eps = 450 * torch.finfo(dtype).eps
            assert value.dtype == dtype
            assert_close(value.double(), want, rtol=eps, atol=0)
            for got, truth in zip(found, truths, strict=True):
                assert_close(got.double(), truth, rtol=eps, atol=eps * float(truth.abs().max()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [8, 20, 33, 50])
def test_nearly_equal_covariances_of_many_coordinates_keep_their_digits(body, n, dtype):
    mean, cov, _, _ = (v.to(dtype) for v in full_operands(1, n, "covariance"))
    same = cov.tril() + cov.tril(-1).mT
    assert full_divergence(mean, same, mean, same, "covariance").item() == 0.0
    for step in (1e-3, 1e-5):
        moved = cov + step * cov[:, :, :1] * cov[:, :1, :]
        cov, moved = (v.tril() + v.tril(-1).mT for v in (cov, moved))
        p, q = (pairs.Given("covariance", m[0].numpy(), (c[0].numpy(),)) for m, c in ((mean, cov), (mean, moved)))
        truth = exact.kl(pairs.exact_pair(p, q))
        (got,) = full_divergence(mean, cov, mean, moved, "covariance").tolist()
        assert abs(exact.number(got) - truth) <= 450 * torch.finfo(dtype).eps * abs(truth)


@pytest.mark.parametrize("n", [3, 35])
@pytest.mark.parametrize("kind", FULL)
def test_full_pairs_broadcast_and_lie_as_they_like(body, by_formula, n, kind):
    a, b, c, d = full_operands(6, n, kind)
    cases = [
        (a, b, c[0], d[0]),
        (a, b[:1], c, d[0]),
        (a[:, None], b[:, None], c[:2], d[:2]),
        (a, b.mT.contiguous().mT, c.expand(2, 6, n), d),
        (a[::2], b[::2], c[::2], d[::2]),
        (a[0], b[0], c[0], d[0]),
        (a, b, a, b),
    ]
    for x in cases:
        for wanted in ((0, 1, 2, 3), (1,), (2,), ()):
            leaves = [v.detach().requires_grad_() if i in wanted else v for i, v in enumerate(x)]
            (value, found), (want, truths) = both(lambda *v: full_divergence(*v, kind), leaves, by_formula)
            assert_close(value, want, rtol=1e-12, atol=0)
            for got, truth in zip(found, truths, strict=True):
                assert_close(got, truth, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", FULL)
def test_second_derivatives_of_full_pairs_and_their_loss(body, by_formula, kind):
    leaves = [v.requires_grad_() for v in full_operands(2, 3, kind)]
    assert torch.autograd.gradgradcheck(lambda *v: full_divergence(*v, kind), leaves)
    make = getattr(Gaussian, f"from_{kind}")
    weights = torch.tensor([0.5, 2.0], dtype=torch.float64)

    def loss(*v):
        return kl_loss(make(*v[:2], validate=False), make(*v[2:], validate=False), weights)

    (value, found), (want, truths) = both(loss, leaves, by_formula)
    assert_close(value, want, rtol=1e-13, atol=0)
    assert_close(found, truths, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("kind", FULL)
def test_a_matrix_that_no_gaussian_has_gives_nan_in_its_own_row_only(body, kind):
    for n in (2, 3, 9, 36):
        x = full_operands(10, n, kind)
        x[1][4] = -torch.eye(n)
        assert torch.isnan(full_divergence(*x, kind)).nonzero().flatten().tolist() == [4]
        x = full_operands(10, n, kind)
        x[0][7, 0] = torch.nan
        assert torch.isnan(full_divergence(*x, kind)).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("n", [8, 40])
def test_full_pairs_are_the_same_by_any_number_of_threads(body, n):
    before = torch.get_num_threads()
    x = full_operands(3000 if n == 8 else 30, n, "covariance")
    step = len(x[0]) // 15
    parts = [[v[i : i + step] for v in x] for i in range(0, len(x[0]), step)]
    want = torch.cat([full_divergence(*part, "covariance") for part in parts])
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert_close(full_divergence(*x, "covariance"), want, rtol=0, atol=0)
    finally:
        torch.set_num_threads(before)


def test_the_largest_full_pairs_are_left_to_the_linear_algebra_of_torch(by_formula):
    x = full_operands(1, 513, "covariance", torch.float32)
    want = by_formula(full_divergence, *x, "covariance")
    with kernels.use(None):
        assert full_selection(x, "covariance").backend == "torch"
        assert_close(full_divergence(*x, "covariance"), want, rtol=450 * torch.finfo(torch.float32).eps, atol=0)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [3, 40])
def test_the_loss_is_the_mean_of_the_weighted_rows(body, by_formula, weighted, n):
    weights = torch.linspace(0, 2, 6) if weighted else None
    for given in DIAGONAL:
        leaves = [v.requires_grad_() for v in operands(6, n)]

        def f(*v, given=given):
            return kl_loss(MAKE[given](*v[:2]), MAKE[given](*v[2:]), weights) * 3.0

        (value, found), (want, truths) = both(f, leaves, by_formula)
        close(value, want, n)
        for got, truth in zip(found, truths, strict=True):
            assert_close(got, truth, rtol=2e-5, atol=1e-6)
    value = f(*leaves)
    first = torch.autograd.grad(value, leaves, retain_graph=True)
    assert_close(torch.autograd.grad(value, leaves), first)
    double = [v.detach().double().requires_grad_() for v in leaves]
    if weights is None:
        assert torch.autograd.gradgradcheck(f, double)
    shared = [v.detach() for v in leaves[:2]]
    prior = [v[0].clone().requires_grad_() for v in leaves[2:]]
    (value, found), (want, truths) = both(lambda *v: f(*shared, *v), prior, by_formula)
    close(value, want, n)
    for got, truth in zip(found, truths, strict=True):
        assert_close(got, truth, rtol=2e-5, atol=1e-6)


def test_large_calls_are_split_among_threads_and_give_the_same_rows(body):
    x = operands(3000, 200)
    want = torch.cat([divergence(*(v[i : i + 500] for v in x)) for i in range(0, 3000, 500)])
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            assert_close(divergence(*x), want, rtol=0, atol=0)
    finally:
        torch.set_num_threads(before)


FORKS = """
import os, torch
from kullback import Gaussian, kl_divergence
torch.set_num_threads(2)
x = [torch.rand(4000, 200) + 0.1 for _ in range(4)]
p, q = Gaussian.from_std(*x[:2], validate=False), Gaussian.from_std(*x[2:], validate=False)
first = kl_divergence(p, q)
child = os.fork()
if child == 0:  # where torch's own threads would hang: nothing but a kernel is called
    os._exit(0 if kl_divergence(p, q)[0].item() == first[0].item() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.skipif("native" not in PRESENT, reason="the other bodies start no threads of their own")
def test_a_forked_child_does_not_wait_for_threads_that_it_has_not():
    command = ["timeout", "-s", "KILL", "30", sys.executable, "-W", "ignore", "-c", FORKS]
    environment = {**os.environ, "KULLBACK_KERNEL": "native"}
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == "0\n"


def test_a_body_can_be_asked_for_and_what_is_not_there_says_so():
    assert choice.available("reference").backends[0].kernels == ()
    with pytest.raises(ValueError, match="the kernels are one of"), kernels.use("fastest"):
        pass
    assert choice.available(None).backends == tuple(b for b in choice.BACKENDS if not b.unavailable_reason())


def test_a_selection_says_why(body):
    p = Gaussian.from_std(torch.zeros(3), torch.ones(3))
    assert selected(p, p) == (body, "asked for by name")
    normal = torch.distributions.Normal(torch.zeros(3), torch.ones(3))
    assert selected(normal, normal) == selected(p, p)
    assert "different parameterizations" in selected(p, Gaussian.from_logvar(torch.zeros(3), torch.zeros(3))).reason
    assert "not a pair of diagonals" in selected(p, Gaussian.from_covariance(torch.zeros(3), torch.eye(3))).reason
    with kernels.use("reference"):
        assert selected(p, p) == ("reference", "asked for by name")
    with kernels.use(None):
        assert selected(p, p).backend == PRESENT[0]
        large = Gaussian.from_covariance(torch.zeros(600), torch.eye(600))
        reason = selected(large, large).reason
    assert ("at most 512 coordinates" if "native" in PRESENT else "no native") in reason


def test_modules_are_found_without_importing_them():
    code = "import kullback; print(kullback.kernels.selected.__name__, kullback.losses.kl_loss.__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "selected kl_loss\n"


def test_without_a_library_the_package_works_and_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(native_kernel, "FILE", tmp_path / "libkullback.so")
    assert native_kernel._load() is None
    monkeypatch.setattr(native_kernel, "_LIBRARY", None)
    assert native_kernel.unavailable_reason() == "no C library was built"
    without = choice.available(None)
    assert without.backends[0].name == "torch"
    assert without.reason == "no native: no C library was built"
    with pytest.raises(ValueError, match="no C library"):
        choice.available("native")
    (tmp_path / "libkullback.so").write_bytes(b"not a library")
    assert native_kernel._load() is None
    assert "another version" in native_kernel.unavailable_reason()
