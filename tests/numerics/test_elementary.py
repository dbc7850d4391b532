"""Scalar functions against fifty digits of mpmath: values, derivatives, and the edges of the range of numbers."""

import math

import mpmath
import pytest
import torch
from mpmath import mpf
from torch.testing import assert_close
from truth.oracle import ulps

from kullback.numerics import elementary

DTYPES = (torch.float32, torch.float64)

# What a coordinate of the divergence may be off by, so none of its parts may be off by more.
CONTRACT = 4.0


def both_signs(dtype, low, high):
    """Numbers of both signs whose sizes are spread evenly over 2^low ... 2^high, and 0."""
    g = torch.Generator().manual_seed(0)
    exponents = low + (high - low) * torch.rand(300, generator=g, dtype=torch.float64)
    sign = torch.where(torch.arange(300) % 2 == 0, 1.0, -1.0)
    return torch.cat([torch.zeros(1), sign * 2.0**exponents]).to(dtype)


def positive_pairs(dtype, largest_log):
    """Pairs of positive numbers: half of them from 2^-1 to 2^-50 apart, half far apart."""
    g = torch.Generator().manual_seed(1)
    log_a, log_b = largest_log * (2 * torch.rand(2, 300, generator=g, dtype=torch.float64) - 1)
    a = log_a.exp().to(dtype)
    step = 2.0 ** -torch.randint(1, 51, (300,), generator=g).double()
    near = (a.double() * (1 + torch.where(torch.arange(300) % 2 == 0, step, -step))).to(dtype)
    return torch.cat([a, a]), torch.cat([near, log_b.exp().to(dtype)])


def phi(x):
    return (mpmath.expm1(x) - x) / 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_phi_and_its_derivative_keep_their_digits(dtype):
    x = both_signs(dtype, -40, 6).requires_grad_()
    value = elementary.half_phi(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    numbers = [mpf(v) for v in x.tolist()]
    assert ulps(value, map(phi, numbers)) <= CONTRACT
    assert ulps(slope, [mpmath.expm1(v) / 2 for v in numbers]) <= CONTRACT


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_of_an_exponential_is_finite_as_long_as_it_can_be(dtype):
    # Half of the exponential is representable up to here, the exponential itself is not.
    largest = math.log(torch.finfo(dtype).max) + 0.9 * math.log(2)
    x = torch.tensor([1.5, 60.0, 64.5, largest, -1.5, -60.0, -1e3], dtype=dtype, requires_grad=True)
    value = elementary.half_expm1(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    numbers = [mpf(v) for v in x.tolist()]
    assert ulps(value, [mpmath.expm1(v) / 2 for v in numbers]) <= CONTRACT
    assert ulps(slope, [mpmath.exp(v) / 2 for v in numbers]) <= CONTRACT


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [0.001, 0.3, 0.5, 0.75, 0.999])
def test_the_logarithm_of_a_mean_exponential_keeps_its_digits(weight, dtype):
    weight = float(torch.tensor(weight, dtype=dtype))
    x = both_signs(dtype, -30, 12).requires_grad_()
    value = elementary.log_mean_exp(x, weight, 1.0 - weight)
    (slope,) = torch.autograd.grad(value.sum(), x)
    w, numbers = mpf(weight), [mpf(v) for v in x.tolist()]
    want = [mpmath.log1p(w * mpmath.expm1(v)) for v in numbers]
    # The contract, and what one rounding of w(e^x − 1) does to the logarithm where that is near −1.
    changes = [w * mpmath.expm1(min(v, 0)) for v in numbers]
    sizes = [abs(value) + abs(change / (1 + change)) for value, change in zip(want, changes, strict=True)]
    assert ulps(value, want, sizes) <= CONTRACT
    # The slope is one of two shares that add up to 1: in units in the last place of that sum.
    shares = [1 / (1 + (1 - w) / w * mpmath.exp(-v)) for v in numbers]
    assert ulps(slope, shares, [mpf(1)] * len(shares)) <= CONTRACT


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_logarithm_of_a_ratio_keeps_its_digits_near_1_and_beyond_the_range(dtype):
    a, b = (x.requires_grad_() for x in positive_pairs(dtype, 80.0 if dtype == torch.float32 else 700.0))
    value = elementary.log_ratio(a, b)
    slopes = torch.autograd.grad(value.sum(), (a, b))
    pairs = [(mpf(u), mpf(v)) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert ulps(value, [mpmath.log(u / v) for u, v in pairs]) <= CONTRACT
    assert ulps(slopes[0], [1 / u for u, _ in pairs]) <= 1
    assert ulps(slopes[1], [-1 / v for _, v in pairs]) <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_half_of_a_ratio_is_finite_as_long_as_it_can_be(dtype):
    info = torch.finfo(dtype)
    a = torch.tensor([1.0, info.max, info.max, info.tiny, 3.0 * info.tiny], dtype=dtype)
    b = torch.tensor([3.0, 0.75, 1.0, info.tiny, 2.0 * info.tiny], dtype=dtype)
    want = [mpf(u) / mpf(v) / 2 for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert not torch.isfinite(a / b).all()
    assert ulps(elementary.half_ratio(a, b), want) <= 1


# The function, the logarithm of the ratio of variances, and how far logarithms go in float32 and in float64.
COVARIANCE_TERMS = {
    "std": (elementary.covariance_term_of_stds, lambda a, b: 2 * mpmath.log(a / b), (20.0, 170.0)),
    "variance": (elementary.covariance_term_of_variances, lambda a, b: mpmath.log(a / b), (40.0, 340.0)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("given", COVARIANCE_TERMS)
def test_covariance_terms_of_ratios_are_within_the_contract(given, dtype):
    function, log_ratio, limits = COVARIANCE_TERMS[given]
    a, b = positive_pairs(dtype, limits[dtype == torch.float64])
    want = [phi(log_ratio(mpf(u), mpf(v))) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert ulps(function(a, b), want) <= CONTRACT
    assert (function(a, a) == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_covariance_term_of_logvars_does_not_feel_the_rounding_of_their_difference(dtype):
    g = torch.Generator().manual_seed(2)
    a = (80.0 * torch.randn(300, generator=g, dtype=torch.float64)).clamp(-300, 300).to(dtype)
    b = (a.double() + 0.3 * torch.randn(300, generator=g, dtype=torch.float64)).to(dtype)
    want = [phi(mpf(u) - mpf(v)) for u, v in zip(a.tolist(), b.tolist(), strict=True)]
    assert ulps(elementary.covariance_term_of_logvars(a, b), want) <= CONTRACT


def test_a_difference_of_the_largest_numbers_is_divided_before_it_overflows():
    largest = torch.finfo(torch.float64).max
    a, b = torch.tensor([largest, 3.0], dtype=torch.float64), torch.tensor([-largest, 1.0], dtype=torch.float64)
    difference, factor = elementary.difference_and_factor(a, b)
    assert difference.tolist() == [largest, 2.0]
    assert factor.tolist() == [2.0, 1.0]


def test_the_square_root_has_subgradient_0_at_0_and_keeps_nan():
    x = torch.tensor([0.0, 4.0, torch.nan], dtype=torch.float64, requires_grad=True)
    value = elementary.square_root(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert value[:2].tolist() == [0.0, 2.0]
    assert slope[:2].tolist() == [0.0, 0.25]
    assert value[2].isnan()


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_a_length_may_have_a_square_beyond_the_range(size):
    x = (size * torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)).requires_grad_()
    value = elementary.length(x, (-1,))
    assert_close(value, torch.tensor([5.0 * size, 0.0], dtype=torch.float64), rtol=1e-15, atol=0)
    (slope,) = torch.autograd.grad(value.sum(), x)
    assert_close(slope, torch.tensor([[0.6, 0.8], [0.0, 0.0]], dtype=torch.float64), rtol=1e-15, atol=0)
    assert_close(elementary.square_root_of_squares(x[0]), value[0], rtol=1e-15, atol=0)


def test_the_ratio_of_asinh_is_smooth_at_0_and_takes_large_components():
    sizes = [0.0, 1e-200, 1e-8, 0.1, 0.173, 0.174, 1.0, 1e5, 1e200]
    x = torch.tensor([[0.6 * s, -0.8 * s] for s in sizes], dtype=torch.float64)
    lengths = [mpmath.sqrt(sum(mpf(v) ** 2 for v in row)) for row in x.tolist()]
    want = [mpmath.asinh(z) / z if z else mpf(1) for z in lengths]
    assert ulps(elementary.asinh_ratio(x), want) <= CONTRACT
    leaves = (x[2:7].clone().requires_grad_(),)
    assert torch.autograd.gradcheck(elementary.asinh_ratio, leaves)
    assert torch.autograd.gradgradcheck(elementary.asinh_ratio, leaves)


def test_powers_of_two_are_exact_and_within_a_factor_of_two():
    x = torch.cat([positive_pairs(torch.float64, 600.0)[0], torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)])
    power = elementary.power_of_two(x)
    assert (torch.frexp(power).mantissa == 0.5).all()
    assert ((x / power >= 0.5) & (x / power <= 2.0)).all()
    none = torch.tensor([0.0, -1.0, torch.inf, torch.nan], dtype=torch.float64)
    assert elementary.power_of_two(none).tolist() == [1.0] * 4
