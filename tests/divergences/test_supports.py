"""Distances between singular Gaussians, and divergences on their common support."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close
from truth.singular import kl_on_support, squared_wasserstein2

import kullback
from kullback import Gaussian, NotPositiveDefinite, kl_divergence, pairwise, wasserstein2
from kullback.divergences.registry import RECORDS

RANKS = [(3, 1, 2), (3, 2, 2), (5, 1, 5), (8, 5, 3), (64, 10, 7), (16, 5, 16)]


def _random(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("d", "r", "s"), RANKS)
def test_the_distance_is_that_of_the_nuclear_norm(d, r, s, dtype):
    a, b, m, n = (x.astype(dtype) for x in (_random(1, d, r), _random(2, d, s), _random(3, d), _random(4, d)))
    want = squared_wasserstein2(m.tolist(), a.tolist(), n.tolist(), b.tolist())
    few = 8 * float(np.finfo(dtype).eps)
    p, q = (Gaussian.from_factor(mean, x, singular=True) for mean, x in ((m, a), (n, b)))
    for one, other in ((p, q), (q, p)):
        assert float(wasserstein2(one, other, squared=True)) == pytest.approx(float(want), rel=few)
        assert float(wasserstein2(one, other)) == pytest.approx(float(want**0.5), rel=few)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("k", range(0, 48, 3))
@pytest.mark.parametrize(("d", "r"), [(3, 2), (16, 5)])
def test_near_factors_keep_their_digits(d, r, k, dtype):
    """Also in the gradient's path, and where nothing is left of a subtraction."""
    a = _random(k, d, r).astype(dtype)
    b = (a * (1 + _random(k + 1, d, r) * 2.0**-k)).astype(dtype)
    zero = np.zeros(d, dtype)
    want = squared_wasserstein2(zero.tolist(), a.tolist(), zero.tolist(), b.tolist())
    value = wasserstein2(Gaussian.from_factor(zero, a), Gaussian.from_factor(zero, b), squared=True)
    given_grad = [torch.tensor(x, requires_grad=True) for x in (a, b)]
    other = wasserstein2(*[Gaussian.from_factor(torch.tensor(zero), x) for x in given_grad], squared=True)
    # float32 is computed in float64.
    tolerance = 450 * np.finfo(np.float64).eps + np.finfo(dtype).eps
    for x in (value, other.detach()):
        assert float(x) == pytest.approx(float(want), rel=tolerance, abs=1e-70)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_equal_factors_are_exactly_at_distance_0_and_no_square_is_negative(d, r, seed):
    a, mean = _random(seed, d, r), _random(seed + 1, d)
    p = Gaussian.from_factor(mean, a, singular=True)
    assert wasserstein2(p, p) == 0
    turn = np.linalg.qr(_random(seed + 2, r, r))[0]
    turned = wasserstein2(p, Gaussian.from_factor(mean, a @ turn, singular=True), squared=True)
    assert 0 <= turned < 1e-24 * (a**2).sum()


def test_equal_rows_are_exactly_at_distance_0():
    x = _random(0, 7, 20)
    for build in (
        lambda: Gaussian.from_samples(x, structure="low_rank"),
        lambda: Gaussian.from_covariance(x.mean(0), np.cov(x.T), singular=True),
    ):
        assert wasserstein2(build(), build()) == 0


@pytest.mark.parametrize(("d", "r", "s"), [(4, 2, 2), (5, 2, 3), (3, 2, 3), (4, 1, 4)])
def test_the_squared_distance_is_twice_differentiable(d, r, s):
    tensors = [torch.tensor(_random(k, *shape)) for k, shape in enumerate(((d,), (d, r), (d,), (d, s)))]
    # Of the wider factor, as many singular directions are seen as the other has; the rest is a kink of the root.
    inputs = [x.requires_grad_() for x in tensors]

    def distance(m, a, n, b):
        p, q = Gaussian.from_factor(m, a, singular=True), Gaussian.from_factor(n, b, singular=True)
        return wasserstein2(p, q, squared=True)

    assert torch.autograd.gradcheck(distance, inputs)
    assert torch.autograd.gradgradcheck(distance, inputs, atol=1e-4)


def test_a_regular_gaussian_on_the_other_side():
    """Every parameterization beside a plane in three dimensions, and the value of the factors."""
    a = _random(5, 3, 2)
    p = Gaussian.from_factor(np.zeros(3), a)
    covariance = np.diag([1.0, 2.0, 3.0])
    want = float(squared_wasserstein2([0] * 3, a.tolist(), [0] * 3, np.sqrt(covariance).tolist()))
    for q in (
        Gaussian.from_variance(np.zeros(3), np.array([1.0, 2.0, 3.0])),
        Gaussian.from_covariance(np.zeros(3), covariance),
        Gaussian.from_precision(np.zeros(3), np.linalg.inv(covariance)),
        Gaussian.from_low_rank(np.zeros(3), np.diag([0.0, 1.0, 1.0])[:, 1:], np.array([1.0, 1.0, 2.0])),
    ):
        assert float(wasserstein2(p, q, squared=True)) == pytest.approx(want, rel=1e-13)
        for record in RECORDS:
            if record.apart is not None:
                value = getattr(kullback, record.name)
                further = {parameter.name: 0.5 for parameter in record.required}
                assert value(p, q, **further) == record.apart
                assert value(q, p, **further) == record.apart


def test_without_d_by_d_matrices():
    """Of 200,000 coordinates a d × d matrix would be 320 GB."""
    a = torch.randn(200_000, 3, dtype=torch.float64)
    zero = torch.zeros(200_000, dtype=torch.float64)
    p, q = Gaussian.from_low_rank(zero, a, 0.0), Gaussian.from_low_rank(zero, 2 * a, 0.0)
    assert float(wasserstein2(p, q)) == pytest.approx(float(a.square().sum().sqrt()), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("d", "r"), [(2, 1), (3, 2), (10, 4)])
def test_kl_on_the_common_support(d, r, dtype):
    b, mix, shift = _random(0, d, r), _random(1, r, r), _random(2, r)
    want = float(kl_on_support(shift.tolist(), (b @ mix).tolist(), b.tolist()))
    p = Gaussian.from_factor(torch.tensor(b @ shift, dtype=dtype), torch.tensor(b @ mix, dtype=dtype))
    q = Gaussian.from_factor(torch.zeros(d, dtype=dtype), torch.tensor(b, dtype=dtype))
    assert float(kl_divergence(p, q)) == pytest.approx(want, rel=1e-4 if dtype == torch.float32 else 1e-12)
    assert kl_divergence(p, p) == 0


def test_every_divergence_on_the_common_support_is_that_of_the_coordinates_along_it():
    along = torch.linalg.qr(torch.tensor(_random(0, 6, 3)))[0]
    factors = [torch.tensor(_random(k, 3, 3)) for k in (1, 2)]
    means = [torch.tensor(_random(k, 3)) for k in (3, 4)]
    flat = [Gaussian.from_factor(m, x) for m, x in zip(means, factors, strict=True)]
    # Somewhere in space, each by a factor of its own width.
    wide = torch.cat([torch.eye(3), torch.zeros(3, 2)], -1).double()
    inside = [
        Gaussian.from_factor(1.0 + along @ means[0], along @ factors[0]),
        Gaussian.from_factor(1.0 + along @ means[1], along @ factors[1] @ wide),
    ]
    for record in RECORDS:
        if not record.diagonal_only:
            function = getattr(kullback, record.name)
            further = {parameter.name: 0.5 for parameter in record.required}
            assert_close(function(*inside, **further), function(*flat, **further), rtol=1e-11, atol=0)


def test_supports_that_differ():
    line, other = torch.tensor([[1.0], [2.0], [0.5]]), torch.tensor([[1.0], [2.0], [0.6]])
    zero = torch.zeros(3)
    p = Gaussian.from_factor(zero, line)
    apart = [
        Gaussian.from_factor(zero, other),
        Gaussian.from_factor(zero, torch.cat([line, other], -1)),
        Gaussian.from_factor(torch.tensor([0.0, 0.0, 1.0]), line),
        Gaussian.from_factor(zero, torch.zeros(3, 1)),
        Gaussian.standard(3),
    ]
    for q in apart:
        assert kl_divergence(p, q) == math.inf
        assert kl_divergence(q, p) == math.inf
        assert kullback.hellinger(p, q) == 1
    for q in (Gaussian.from_factor(zero, 3 * line), Gaussian.from_factor(line[:, 0], line)):
        assert math.isfinite(kl_divergence(p, q))
    assert kl_divergence(Gaussian.from_factor(zero, 0 * line), Gaussian.from_factor(zero, 0 * line)) == 0


def test_batches_of_several_ranks_broadcast_and_all_pairs_agree():
    factors = torch.tensor(_random(0, 4, 3, 2))
    factors[1] = factors[0] @ torch.tensor(_random(1, 2, 2))
    factors[2, :, 1] = 0
    factors[3] = 2 * factors[2]
    p = Gaussian.from_factor(torch.zeros(3, dtype=torch.float64), factors)
    values = kl_divergence(p[:, None], p)
    finite = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    assert torch.equal(torch.isfinite(values), finite)
    assert torch.equal(pairwise(p, p), values)
    assert_close(pairwise(p, p, "wasserstein2"), wasserstein2(p[:, None], p))
    for i, j in itertools.product(range(4), repeat=2):
        assert_close(values[i, j], kl_divergence(p[i], p[j]), rtol=1e-12, atol=0)


def test_the_cross_entropy_of_a_density_under_a_singular_gaussian():
    """The limit of Gaussians that become flat."""
    factor, mean = torch.tensor(_random(0, 4, 3, 2)), torch.tensor(_random(1, 4, 3))
    square = torch.tensor(_random(2, 3, 3))
    covariance = square @ square.mT + torch.eye(3, dtype=torch.float64)
    p = Gaussian.from_factor(mean, factor)
    nearly = Gaussian.from_low_rank(mean, factor, 1e-13)
    for q in (
        Gaussian.from_covariance(torch.zeros(3, dtype=torch.float64), covariance),
        Gaussian.from_precision(torch.zeros(3, dtype=torch.float64), covariance),
        Gaussian.from_logvar(torch.ones(3, dtype=torch.float64), mean),
        Gaussian.from_low_rank(torch.ones(3, dtype=torch.float64), square[:, :1], 0.5),
        Gaussian.standard(3),
    ):
        assert_close(kullback.cross_entropy(p, q), kullback.cross_entropy(nearly, q), rtol=1e-11, atol=0)
    with pytest.raises(NotPositiveDefinite, match="needs a density"):
        kullback.cross_entropy(p, p)


def test_gradients_along_the_support():
    b = torch.tensor(_random(0, 4, 2))

    def divergence(mix, shift):
        p = Gaussian.from_factor(b @ shift, b @ mix)
        return kl_divergence(p, Gaussian.from_factor(torch.zeros(4, dtype=torch.float64), b))

    inputs = [torch.tensor(_random(k, *s)).requires_grad_() for k, s in ((1, (2, 2)), (2, (2,)))]
    assert torch.autograd.gradcheck(divergence, inputs)


def _kl_of_stds(a, b):
    ratios = [(x / y) ** 2 for x, y in zip(a, b, strict=True)]
    return sum(0.5 * (r - 1 - math.log(r)) for r in ratios)


@pytest.mark.parametrize("dtypes", list(itertools.product([torch.bfloat16, torch.float16, torch.float32], repeat=2)))
def test_one_support_in_half_precision_and_in_several_dtypes(dtypes):
    b = torch.tensor([[1.0, 0.0], [0.3, 1.0], [0.2, 0.7]])
    mix = torch.tensor([[2.0, 0.3], [0.1, 1.5]])
    p, q = (Gaussian.from_factor(torch.zeros(3), x.to(dtype)) for x, dtype in zip((b, b @ mix), dtypes, strict=True))
    want = float(kl_on_support([0, 0], b.tolist(), (b.double() @ mix.double()).tolist()))
    assert float(kl_divergence(p, q)) == pytest.approx(want, rel=2e-2)


def test_narrow_directions_count_like_others():
    """Surfels 1000 long and a few thousandths wide, axes of many lengths, features in small units."""
    turn = torch.linalg.qr(torch.tensor(_random(0, 3, 3)))[0].float()
    zero = torch.zeros(3)

    def surfel(width):
        return Gaussian.from_rotation_scale(zero, turn, torch.tensor([1000.0, width, 0.0]), singular=True)

    for a, b in ((0.003, 0.0035), (0.003, 0.006)):
        assert float(kl_divergence(surfel(a), surfel(b))) == pytest.approx(_kl_of_stds([a], [b]), rel=1e-5)
    axes = torch.linalg.qr(torch.tensor(_random(0, 300, 20)))[0].float() * torch.logspace(0, -4, 20)
    p, q = (Gaussian.from_factor(torch.zeros(300), c * axes) for c in (1.0, 2.0))
    assert float(kl_divergence(p, q)) == pytest.approx(20 * _kl_of_stds([1], [2]), rel=1e-5)
    for variance, shift in ((1e-12, 1e-5), (1e-40, 1e-19)):
        covariance = np.diag([1.0, 0.0, variance, 1.0])
        p, q = (Gaussian.from_covariance(np.array([0.0, 0.0, m, 0.0]), covariance, singular=True) for m in (0.0, shift))
        assert kl_divergence(p, q) == pytest.approx(50.0, rel=1e-12)


def test_few_rows_of_features_in_units_that_differ():
    x = _random(0, 30, 60) * np.logspace(0, -5, 60) @ np.linalg.qr(_random(1, 60, 60))[0]
    p, q = (Gaussian.from_covariance(np.zeros(60), c * np.cov(x.T), singular=True) for c in (1.0, 3.0))
    assert kl_divergence(p, q) == pytest.approx(29 * _kl_of_stds([1], [3**0.5]), rel=1e-9)


def test_nearly_parallel_columns_are_never_taken_for_another_support():
    """Where rounding leaves it open whether there are one or two dimensions, an error says so: in both directions."""
    decided = 0
    for k in range(300):
        b, mix, other = (torch.tensor(_random(3 * k + i, *s)).float() for i, s in enumerate(((6, 2), (2, 2), (2, 2))))
        mix[1] *= 1e-4
        p, q = (Gaussian.from_factor(torch.zeros(6), b @ x) for x in (mix, other))
        for one, two in ((p, q), (q, p)):
            try:
                assert torch.isfinite(kl_divergence(one, two))
                decided += 1
            except NotPositiveDefinite as error:
                assert "cannot be told" in str(error)  # noqa: PT017
    assert decided > 550


def test_a_covariance_whose_eigenvalues_fall_below_rounding_has_no_clear_support():
    t = np.linspace(0, 1, 100)
    kernel = np.exp(-0.5 * (t[:, None] - t) ** 2 / 0.2**2)
    p, q = (Gaussian.from_covariance(np.zeros((2, 100)), c * kernel[None], singular=True) for c in (1.0, 2.0))
    with pytest.raises(NotPositiveDefinite, match=r"p and q \[0\] have one support cannot be told"):
        kl_divergence(p, q)


def test_an_infinite_divergence_is_in_the_graph_of_its_parameters():
    factor = torch.randn(3, 1, requires_grad=True)
    kl_divergence(Gaussian.from_factor(torch.zeros(3), factor), Gaussian.standard(3)).backward()
    assert (factor.grad == 0).all()


@pytest.mark.parametrize("size", [1e-170, 1e155])
def test_sizes_whose_squares_leave_the_range_of_numbers(size):
    a = size * torch.tensor(_random(0, 3, 2))
    zero = torch.zeros(3, dtype=torch.float64)
    want = float((a / size).norm())
    p, q = (Gaussian.from_factor(zero, c * a) for c in (1.0, 2.0))
    assert float(wasserstein2(p, q)) / size == pytest.approx(want, rel=1e-14)
    tril = size * torch.eye(3, dtype=torch.float64)
    p, q = (Gaussian.from_scale_tril(zero, c * tril) for c in (1.0, 2.0))
    assert float(wasserstein2(p, q)) / size == pytest.approx(3**0.5, rel=1e-14)


def test_no_columns_and_no_variance_are_a_point():
    zero = torch.zeros(3)
    points = [
        Gaussian.from_factor(zero, torch.zeros(3, 0)),
        Gaussian.from_covariance(zero, torch.zeros(3, 3), singular=True),
        Gaussian.from_low_rank(zero, torch.zeros(3, 2), 0.0),
    ]
    for p, q in itertools.product(points, repeat=2):
        assert kl_divergence(p, q) == 0
        assert wasserstein2(p, Gaussian.standard(3), squared=True) == 3


def test_a_part_with_a_density_has_one():
    factor = torch.tensor(_random(0, 5, 3))
    p = Gaussian.from_factor(torch.zeros(5, dtype=torch.float64), factor)
    part = Gaussian.from_covariance(torch.zeros(2, dtype=torch.float64), (factor @ factor.mT)[1:3, 1:3])
    turn = torch.eye(5, dtype=torch.float64)[1:3]
    for found in (p.marginal([1, 2]), p.affine(turn)):
        assert_close(found.log_prob(torch.ones(2).double()), part.log_prob(torch.ones(2).double()))
    with pytest.raises(NotPositiveDefinite, match="no density"):
        kullback.nearest_diagonal(p)


def test_memory_is_asked_for_first():
    p = Gaussian.from_low_rank(torch.zeros(90_000), torch.randn(90_000, 2), 0.0)
    with pytest.raises(MemoryError, match="needs about"):
        wasserstein2(Gaussian.standard(90_000), p)
    assert kl_divergence(p, Gaussian.standard(90_000)) == math.inf


def test_a_factor_that_is_not_finite_gives_nan():
    p = Gaussian.from_factor(torch.zeros(2), torch.tensor([[1.0], [math.nan]]), validate=False)
    assert math.isnan(kl_divergence(p, p))


def test_under_transforms():
    a, b, zero = torch.tensor(_random(0, 5, 3, 2)), torch.tensor(_random(1, 5, 3, 2)), torch.zeros(3).double()

    def distance(x, y):
        return wasserstein2(Gaussian.from_factor(zero, x), Gaussian.from_factor(zero, y), squared=True)

    assert_close(torch.vmap(distance)(a, b), distance(a, b))
    with pytest.raises(NotPositiveDefinite, match="under a transform"):
        torch.vmap(lambda x: kl_divergence(Gaussian.from_factor(zero, x), Gaussian.from_factor(zero, x)))(a)


def test_half_precision_and_mixed_dtypes():
    a, b = torch.tensor(_random(0, 4, 2)), torch.tensor(_random(1, 4, 2))
    for one, other in itertools.product([torch.bfloat16, torch.float16, torch.float32, torch.float64], repeat=2):
        x, y = a.to(one), b.to(other)
        value = wasserstein2(Gaussian.from_factor(torch.zeros(4), x), Gaussian.from_factor(torch.zeros(4), y))
        want = squared_wasserstein2([0] * 4, x.tolist(), [0] * 4, y.tolist())
        assert float(value) == pytest.approx(float(want**0.5), rel=4 * torch.finfo(value.dtype).eps)
