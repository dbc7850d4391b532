"""Every kernel of diagonal pairs is the formula's twin: over the regimes, in every layout, and where none may run."""

import itertools
import math
import os
import subprocess
import sys

import pytest
import torch
from torch.nn import Parameter
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from truth.kinds import DIAGONAL, MAKE
from truth.regimes import REGIMES
from truth.twins import PRESENT, answering, both, check_each_coordinate, close, divergence, operands

import kullback
from kullback import Gaussian, ShapeError, kernels, kl_divergence
from kullback.kernels import choice, selected
from kullback.kernels.layout import laid_out


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_each_coordinate_is_within_four_units_in_the_last_place_of_the_truth(body, given, regime, dtype):
    check_each_coordinate(answering(body, dtype), given, regime, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_machines_with_fewer_instructions_are_as_exact(older_machine, given, regime, dtype):
    check_each_coordinate("native", given, regime, dtype)


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
    h = torch.rand(6, 20) + 0.1
    a, b = h.chunk(2, -1)
    tensors, layout = laid_out((a, b, a, b), "std", 1)
    assert all(x is y for x, y in zip(tensors, (a, b, a, b), strict=True))
    assert layout.row_stride == (20,) * 4


@pytest.mark.parametrize("shapes", [((5, 4), (3, 5, 4)), ((3, 1, 4), (5, 4)), ((4,), (4,)), ((2, 3, 2, 2), (3, 2, 2))])
def test_batches_broadcast_as_in_the_formula(body, by_formula, shapes):
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
    x = operands(4, 5)
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
    zero = torch._efficientzerotensor((4, 5))
    assert selected(Gaussian.from_std(x[0], x[1]), Gaussian.from_std(x[2], x[3])).backend == body
    close(
        check(zero, x[1], zero, x[3]),
        divergence(torch.zeros(4, 5), x[1], torch.zeros(4, 5), x[3]),
        5,
    )


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:`torch.jit.trace` is deprecated")
def test_a_trace_holds_torch_operations_and_no_addresses(body):
    x = operands(4, 5, dtype=torch.float64)
    traced = torch.jit.trace(lambda *v: divergence(*v, validate=False), tuple(x), check_trace=False)
    other = [v.flip(0) for v in x]
    close(traced(*other), divergence(*other), 5)


@pytest.mark.parametrize("dtypes", [(torch.float16, torch.float16), (torch.bfloat16, torch.float32), (torch.float16,)])
def test_half_precision_is_computed_in_float32_as_the_formula_does(body, by_formula, dtypes):
    x = operands(4, 5)
    for given in DIAGONAL:
        # Two Gaussians, or one and the prior.
        leaves = [v.to(dtypes[i // 2]).requires_grad_() for i, v in enumerate(x[: 2 * len(dtypes)])]
        other = [Gaussian.standard(5)] if len(dtypes) == 1 else []

        def result(*v, given=given, other=other):
            p, *q = (MAKE[given](*v[i : i + 2]) for i in range(0, len(v), 2))
            assert selected(p, *q, *other).backend == choice.current().backends[0].name
            return kl_divergence(p, *q, *other)

        (value, found), (want, truths) = both(result, leaves, by_formula)
        assert value.dtype == torch.float32
        close(value, want, 5)
        for got, truth, leaf in zip(found, truths, leaves, strict=True):
            assert got.dtype == leaf.dtype
            assert_close(got, truth)


def test_parameters_are_served(body):
    x = operands(4, 5)
    p, q = Gaussian.from_std(Parameter(x[0]), Parameter(x[1])), Gaussian.from_std(*x[2:])
    assert selected(p, q).backend == body
    kl_divergence(p, q).sum().backward()
    assert p.mean.grad is not None
    assert selected(p.to(torch.bfloat16), q).backend == body
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


def test_numpy_arrays_give_numpy_arrays(body):
    p = Gaussian.from_std(*(v.numpy() for v in operands(4, 5)[:2]))
    assert type(kl_divergence(p, Gaussian.standard(5))).__module__ == "numpy"


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


@pytest.mark.parametrize("kinds", list(itertools.permutations(DIAGONAL, 2)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scales_given_differently_meet_as_they_do_in_the_formula(body, by_formula, kinds, dtype):
    def tensors():
        g = torch.Generator().manual_seed(0)
        return [torch.rand(5, 7, generator=g, dtype=dtype).add(0.1).requires_grad_() for _ in range(4)]

    def results(a, b, c, d):
        p, q = (getattr(Gaussian, f"from_{kind}")(*x) for kind, x in zip(kinds, ((a, b), (c, d)), strict=True))
        value = kl_divergence(p, q)
        first = torch.autograd.grad(value.square().sum(), (a, b, c, d), create_graph=True)
        second = torch.autograd.grad(sum(x.square().sum() for x in first), (a, b, c, d))
        return value, *first, *second

    assert kernels.selected(
        *(getattr(Gaussian, f"from_{kind}")(*tensors()[:2]) for kind in kinds)
    ).backend == answering(body, dtype)
    rtol = 1e-5 if dtype == torch.float32 else 1e-12
    for got, want in zip(results(*tensors()), by_formula(results, *tensors()), strict=True):
        torch.testing.assert_close(got, want, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("kinds", list(itertools.permutations(DIAGONAL, 2)))
@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan])
def test_what_is_no_scale_is_none_in_another_parameterization_either(body, kinds, bad):
    scale = torch.tensor([[1.0, bad, 2.0], [1.0, 1.0, 2.0]])
    make_p, make_q = (getattr(Gaussian, f"from_{kind}") for kind in kinds)
    of_p = make_p(torch.zeros(2, 3), scale, validate=False), make_q(torch.zeros(2, 3), torch.ones(2, 3), validate=False)
    expected_nan = kinds[0] != "logvar" or math.isnan(bad)
    assert kl_divergence(*of_p).isnan().tolist() == [expected_nan, False]
