"""The kernels of GPUs: on a GPU where there is one, and otherwise as Triton interprets them, on the CPU."""

import pytest
import torch
from torch.testing import assert_close
from truth.kinds import DIAGONAL, MAKE
from truth.regimes import REGIMES
from truth.twins import (
    FULL,
    answering,
    check_each_coordinate,
    check_full_pairs,
    divergence,
    full_divergence,
    full_operands,
    operands,
)

import kullback
from kullback import Gaussian, kernels, kl_divergence
from kullback.kernels import selected, triton_kernel
from kullback.losses import kl_loss

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

# NumPy warns of what is meant: infinite results, and NaN.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.fixture(params=["triton", "torch"] if DEVICE == "cuda" else ["triton"])
def body(request):
    """One of the bodies that a GPU has, forced."""
    if request.param == "triton" and triton_kernel.unavailable_reason():
        pytest.skip(triton_kernel.unavailable_reason())
    with kernels.use(request.param):
        yield request.param


def on_device(*tensors):
    return [x.to(DEVICE) for x in tensors]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_each_coordinate_is_within_four_units_in_the_last_place_of_the_truth(body, given, regime, dtype):
    check_each_coordinate(answering(body, dtype), given, regime, dtype, DEVICE)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("rows", "n"), [(1, 1), (3, 1), (700, 2), (3, 7), (5, 33), (2, 1025), (1, 5000)])
def test_rows_of_any_length_are_those_of_the_formula_in_double(body, by_formula, rows, n, dtype):
    for given in DIAGONAL:
        x = [v.requires_grad_() for v in operands(rows, n, dtype=dtype)]
        weight = torch.linspace(0.5, 2.0, rows, dtype=dtype)
        value = divergence(*on_device(*x), given)
        found = torch.autograd.grad(value, x, weight.to(DEVICE))
        wide = [v.detach().double().requires_grad_() for v in x]
        want = by_formula(divergence, *wide, given)
        truths = torch.autograd.grad(want, wide, weight.double())
        eps = torch.finfo(dtype).eps
        assert_close(value.cpu().double(), want, rtol=(4 + n.bit_length()) * eps, atol=0)
        for got, truth in zip(found, truths, strict=True):
            # A gradient is a sum of parts of both signs, here of up to about 100.
            assert_close(got.double(), truth, rtol=8 * eps, atol=400 * eps)


def test_operands_may_lie_in_memory_as_they_like_and_broadcast(body, by_formula):
    a, b, c, d = operands(6, 40)
    for x in (
        (a, b, c[0], d[0]),
        (a, b[:1], c, d[0]),
        (a[::2], b[::2], c[::2], d[::2]),
        (a[:, ::2], b[:, ::2], c[:, ::2], d[:, ::2]),
        (*torch.cat([a, b], -1).chunk(2, -1), *torch.cat([c, d], -1).chunk(2, -1)),
        (a[:, None], b[:, None], c, d),
    ):
        leaves = [v.detach().requires_grad_() for v in x]
        value, want = divergence(*on_device(*leaves)), by_formula(divergence, *leaves)
        assert_close(value.cpu(), want, rtol=1e-6, atol=0)
        found = torch.autograd.grad(value.sum(), leaves)
        for got, truth in zip(found, torch.autograd.grad(want.sum(), leaves), strict=True):
            assert_close(got, truth, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("given", DIAGONAL)
def test_priors_of_numbers_terms_and_losses_with_weights_are_those_of_the_formula(body, by_formula, given):
    x = [v.requires_grad_() for v in operands(5, 40)]
    weights = torch.tensor([0.0, 1.0, 2.0, 0.5, 3.0])

    def results(device):
        a, b, c, d = (v.to(device) for v in x)
        p, q, prior = MAKE[given](a, b), MAKE[given](c, d), Gaussian.standard(40)
        losses = kl_loss(p, q), kl_loss(p, q, weights.to(device)), kl_loss(p, prior), kl_divergence(p, prior).sum()
        gradients = [torch.autograd.grad(2.0 * loss, x[: 4 if i < 2 else 2]) for i, loss in enumerate(losses)]
        terms = kullback.kl_terms(p, q)
        return [v.cpu() for v in (*losses, *terms)], [v for each in gradients for v in each]

    assert selected(MAKE[given](*on_device(*x[:2])), Gaussian.standard(40)).backend == body
    for got, want in zip(results(DEVICE), by_formula(results, "cpu"), strict=True):
        assert_close(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(body, by_formula, dtype):
    x = [v.to(dtype).requires_grad_() for v in operands(5, 7)]

    def results(device):
        a, b, c, d = (v.to(device) for v in x)
        p, prior = Gaussian.from_logvar(a, b), Gaussian.standard(7)
        value = kl_divergence(p, Gaussian.from_logvar(c, d)) + kl_divergence(p, prior)
        return value.cpu(), *torch.autograd.grad(value.sum(), x)

    assert selected(Gaussian.from_logvar(*on_device(*x[:2])), Gaussian.standard(7)).backend == body
    for got, want in zip(results(DEVICE), by_formula(results, "cpu"), strict=True):
        assert got.dtype == want.dtype
        assert_close(got, want)


def test_kinds_may_differ(body, by_formula):
    x = [v.requires_grad_() for v in operands(5, 7)]

    def results(device):
        a, b, c, d = (v.to(device) for v in x)
        value = kl_divergence(Gaussian.from_std(a, b), Gaussian.from_logvar(c, d))
        return value.cpu(), *torch.autograd.grad(value.sum(), x)

    for got, want in zip(results(DEVICE), by_formula(results, "cpu"), strict=True):
        assert_close(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("given", DIAGONAL)
def test_equal_gaussians_are_exactly_zero_apart_and_nan_and_infinity_stay(body, given):
    a, b = on_device(*operands(4, 3)[:2])
    leaves = [v.clone().requires_grad_() for v in (a, b, a, b)]
    value = divergence(*leaves, given)
    assert (value == 0).all()
    assert all((g == 0).all() for g in torch.autograd.grad(value.sum(), leaves))
    for which in range(4):
        x = on_device(*operands(4, 3))
        x[which][2, 1] = torch.nan
        assert divergence(*x, given, validate=False).isnan().tolist() == [False, False, True, False]
    x = on_device(*operands(4, 3))
    x[0][1, 0] = torch.inf
    assert divergence(*x, given)[1] == torch.inf
    for bad in (0.0, -1.0) if given != "logvar" else ():
        for which in (1, 3):
            x = on_device(*operands(4, 3))
            x[which][2, 1] = bad
            assert divergence(*x, given, validate=False).isnan().tolist() == [False, False, True, False]


def test_a_second_derivative_is_that_of_the_formula(body):
    leaves = [v.to(DEVICE).requires_grad_() for v in operands(2, 2, dtype=torch.float64)]
    assert torch.autograd.gradgradcheck(divergence, leaves)


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("n", [1, 2, 3, 5, 8] + ([12, 16] if DEVICE == "cuda" else []))
def test_full_pairs_have_the_formulas_values_and_gradients(body, n, kind):
    check_full_pairs(body, n, kind, DEVICE, counts=(1, 5))


def test_nearly_equal_covariances_keep_their_digits(body, by_formula):
    mean, cov, _, _ = full_operands(3, 5, "covariance")
    same = cov.tril() + cov.tril(-1).mT
    for step in (0.0, 1e-3, 1e-5, 1e-9):
        moved = same + step * same[:, :, :1] * same[:, :1, :]
        x = mean, same, mean, 0.5 * (moved + moved.mT)
        value, want = full_divergence(*on_device(*x), "covariance").cpu(), by_formula(full_divergence, *x, "covariance")
        assert_close(value, want, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", FULL)
def test_a_matrix_that_no_gaussian_has_gives_nan_in_its_own_row_only(body, kind):
    x = on_device(*full_operands(10, 3, kind))
    x[1][4] = -torch.eye(3, device=DEVICE)
    assert full_divergence(*x, kind).isnan().nonzero().flatten().tolist() == [4]
    x = on_device(*full_operands(10, 3, kind))
    x[0][7, 0] = torch.nan
    assert full_divergence(*x, kind).isnan().nonzero().flatten().tolist() == [7]
