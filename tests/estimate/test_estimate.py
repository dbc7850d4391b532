"""Estimates: their errors are what they say, against closed forms and quadrature; gradients are right or refused."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import distributions
from torch import distributions as D
from truth.mixtures import FINE, NEAR, PAIRS, quadrature

from kullback import (
    Gaussian,
    Mixture,
    ShapeError,
    cross_entropy_estimate,
    jensen_shannon_estimate,
    kl_divergence,
    kl_estimate,
)
from kullback.estimate.densities import as_density


@pytest.mark.parametrize(("name", "method"), [*((name, "k1") for name in PAIRS), ("closed form", "k3")])
def test_intervals_hold_the_truth_as_often_as_they_say(name, method):
    p, q = PAIRS.get(name, NEAR)
    truth = float(quadrature(p, q))
    found = [kl_estimate(p, q, n=1024, seed=seed, method=method) for seed in range(100)]
    held = sum(float(e.interval[0]) <= truth <= float(e.interval[1]) for e in found)
    # 95 of 100 expected; four standard deviations of that.
    assert held >= 86
    mean = np.mean([float(e.value) for e in found])
    spread = np.std([float(e.value) for e in found]) / math.sqrt(len(found))
    assert abs(mean - truth) <= 5 * spread + 1e-9


def test_gaussians_of_any_batch_agree_with_the_closed_form():
    g = torch.Generator().manual_seed(0)
    mean, std = torch.randn(2, 1, 4, 3, generator=g), torch.rand(2, 1, 4, 3, generator=g) + 0.5
    p, q = Gaussian.from_std(mean[0], std[0]), Gaussian.from_std(mean[1, 0], std[1, 0])
    q = Gaussian.from_std(q.mean.expand(5, 4, 3), q.scale.value)
    found = kl_estimate(p, q, seed=0)
    assert found.value.shape == (5, 4)
    exact = kl_divergence(p, q)
    assert ((found.value - exact).abs() <= 6 * found.standard_error + 1e-5).all()
    assert (found.standard_error < 0.01).all()
    assert "kl_divergence(p, q) is exact" in found.warnings[0]
    noise = torch.randn(2, 4, 4, generator=g, dtype=torch.float64)
    cov = noise @ noise.mT + torch.eye(4, dtype=torch.float64)
    p, q = (Gaussian.from_covariance(torch.zeros(4, dtype=torch.float64), c) for c in cov)
    found = kl_estimate(p, q, seed=0)
    assert abs(found.value - kl_divergence(p, q)) <= 6 * found.standard_error


def test_one_against_many_and_many_against_one_broadcast():
    one, many = Gaussian.standard(3).to(torch.float64), Gaussian.from_std(torch.randn(2, 4, 3).double(), torch.ones(3))
    mixture = Mixture([0.4, 0.6], many[0, :2])
    for p, q in ((one, many), (many, one), (mixture, many), (many, mixture)):
        found = kl_estimate(p, q, seed=0)
        assert found.value.shape == (2, 4)
        picked = kl_estimate(p[1, 2] if p is many else p, q[1, 2] if q is many else q, seed=1)
        error = (found.standard_error[1, 2] ** 2 + picked.standard_error**2) ** 0.5
        assert abs(found.value[1, 2] - picked.value) <= 6 * error + 1e-9


def test_quasi_random_points_need_far_fewer():
    p, q = (Gaussian.from_std(torch.full((8,), m), torch.full((8,), s)) for m, s in ((0.0, 1.0), (0.5, 1.3)))
    n = 16 * 2**10
    found = kl_estimate(p, q, n=n, seed=0)
    x = p.sample(n, generator=torch.Generator().manual_seed(0))
    plain = (p.log_prob(x) - q.log_prob(x)).std() / math.sqrt(n)
    # The variance goes down twentyfold, and n with it.
    assert found.standard_error**2 * 20 < plain**2


def test_the_number_of_points_the_tolerance_and_the_seed_are_kept_to():
    p, q = PAIRS["apart"]
    assert kl_estimate(p, q).n == 16 * 2**12
    assert kl_estimate(p, q, n=1000).n == 1024
    assert kl_estimate(*PAIRS["three of odd weights"], n=1000).n == 3 * 16 * 32
    loose, tight = (kl_estimate(p, q, tolerance=t, seed=0) for t in (1e-2, 1e-4))
    assert loose.n < tight.n
    assert loose.standard_error <= 1e-2
    assert tight.standard_error <= 1e-4
    missed = kl_estimate(p, q, tolerance=1e-12, n=2048, seed=0)
    assert missed.n == 2048
    assert "above the tolerance" in missed.warnings[0]
    assert kl_estimate(p, q, seed=3).value == kl_estimate(p, q, seed=3).value
    assert kl_estimate(p, q, seed=3).value != kl_estimate(p, q, seed=4).value


def test_more_components_than_points_are_chosen_among():
    g = torch.Generator().manual_seed(0)
    means = torch.randn(3000, 2, generator=g, dtype=torch.float64)
    p = Mixture.aggregate(Gaussian.from_std(means, torch.full_like(means, 0.5)))
    q = Gaussian.standard(2)
    rough, fine = kl_estimate(p, q, n=4096, seed=0), kl_estimate(p, q, n=2**17, seed=1)
    assert (rough.n, fine.n) == (4096, 2**17)
    assert abs(rough.value - fine.value) <= 5 * (rough.standard_error**2 + fine.standard_error**2) ** 0.5
    batch = Mixture(torch.ones(2, 300), Gaussian.from_std(means[:600].reshape(2, 300, 2), 0.5))
    for n in (1024, 2**15):
        found = kl_estimate(batch, q, n=n, seed=0)
        for i in range(2):
            one = kl_estimate(Mixture(torch.ones(300), batch.components[i]), q, n=2**15, seed=1)
            error = (found.standard_error[i] ** 2 + one.standard_error**2) ** 0.5
            assert abs(found.value[i] - one.value) <= 6 * error


def averaged(value, leaves):
    """Gradients over 16 seeds: their mean, and its standard error."""
    found = [torch.autograd.grad(value(seed), leaves) for seed in range(16)]
    stacked = [torch.stack(x) for x in zip(*found, strict=True)]
    return [x.mean(0) for x in stacked], [x.std(0) / 4 for x in stacked]


def test_gradients_of_gaussians_are_those_of_the_closed_form():
    start = ([0.0, 1.0], [1.0, 0.5], [0.5, 0.0], [1.5, 1.0])
    leaves = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in start]
    p, q = Gaussian.from_std(*leaves[:2]), Gaussian.from_std(*leaves[2:])
    want = torch.autograd.grad(kl_divergence(p, q), leaves)
    for found, error, truth in zip(
        *averaged(lambda seed: kl_estimate(p, q, seed=seed).value, leaves), want, strict=True
    ):
        assert ((found - truth).abs() <= 5 * error + 1e-12).all()
        assert (error < 1e-3).all()


def test_gradients_of_weights_means_and_widths_are_those_of_quadrature():
    logits = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    mean = torch.tensor([[-1.0], [2.0]], dtype=torch.float64, requires_grad=True)
    std = torch.tensor([[1.0], [0.5]], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)
    leaves = (logits, mean, std, other)

    def pair():
        return Mixture.from_logits(logits, Gaussian.from_std(mean, std)), Gaussian.from_std(other, [2.0])

    want = torch.autograd.grad(quadrature(*pair()), leaves)
    for found, error, truth in zip(
        *averaged(lambda seed: kl_estimate(*pair(), seed=seed).value, leaves), want, strict=True
    ):
        assert ((found - truth).abs() <= 5 * error + 1e-9).all()
        assert (error < 1e-3).all()


class Exponential:
    """Any object with the two methods, here of NumPy."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def sample(self, n):
        return self.rng.exponential(size=n)

    def log_prob(self, x):
        x = np.asarray(x)
        return np.where(x >= 0, -x, -np.inf)


def test_other_densities_are_drawn_from():
    p, q = distributions.Laplace(torch.tensor([0.0, 1.0]), 1.0), distributions.Laplace(0.5, 2.0)
    want = distributions.kl_divergence(p, q)
    found = kl_estimate(p, q, seed=0)
    assert found.n == 16 * 2**12
    assert ((found.value - want).abs() <= 5 * found.standard_error).all()
    assert kl_estimate(p, q, seed=0).value.equal(found.value)
    found = kl_estimate(Exponential(), distributions.Exponential(0.5))
    assert abs(found.value - (math.log(2) - 0.5)) <= 5 * found.standard_error
    tight = kl_estimate(p, q, tolerance=2e-3, seed=0)
    assert (tight.standard_error <= 2e-3).all()
    assert tight.n < 16 * 2**18
    few = kl_estimate(p, q, n=1, seed=0)
    assert few.n == 16
    assert torch.isfinite(few.standard_error).all()
    # Values of 1e9 with a spread of 1: the error is that of the spread.
    far = distributions.Laplace(torch.zeros((), dtype=torch.float64), 1e9 * torch.ones((), dtype=torch.float64))
    narrow = distributions.Laplace(torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64))
    found = kl_estimate(far, narrow, seed=0)
    assert abs(found.value - distributions.kl_divergence(far, narrow)) <= 5 * found.standard_error
    # As a flow is: without a mean, an entropy or a closed form.
    flow = distributions.TransformedDistribution(distributions.Normal(0.0, 1.0), [distributions.ExpTransform()])
    found = kl_estimate(flow, distributions.LogNormal(1.0, 1.0), seed=0)
    assert abs(found.value - 0.5) <= 5 * found.standard_error
    mixture = distributions.MixtureSameFamily(distributions.Categorical(torch.ones(2)), p)
    assert 0 < kl_estimate(mixture, q, seed=0).value < 1


def test_intervals_of_independent_draws_hold_as_often_as_they_say():
    p, q = distributions.Laplace(0.0, 1.0), distributions.Laplace(0.5, 2.0)
    truth = distributions.kl_divergence(p, q)
    found = [kl_estimate(p, q, n=1024, seed=seed) for seed in range(200)]
    held = sum(bool(e.interval[0] <= truth <= e.interval[1]) for e in found)
    assert held >= 178  # 190 expected; four standard deviations


def test_gradients_that_would_be_wrong_are_refused():
    rate = torch.tensor(2.0, requires_grad=True)
    poisson, other = distributions.Poisson(rate), distributions.Poisson(torch.tensor(3.0))
    with pytest.raises(ValueError, match="no rsample"):
        kl_estimate(poisson, other)
    with torch.no_grad():
        assert abs(kl_estimate(poisson, other, seed=0).value - distributions.kl_divergence(poisson, other)) < 0.05
    (slope,) = torch.autograd.grad(kl_estimate(other, poisson, seed=0).value, rate)
    assert abs(slope - (1 - 3 / 2)) < 0.05
    laplace = distributions.Laplace(rate, 1.0)
    (slope,) = torch.autograd.grad(kl_estimate(laplace, distributions.Normal(0.0, 1.0), seed=0).value, rate)
    assert abs(slope - 2.0) < 0.05


@pytest.mark.parametrize("name", PAIRS)
def test_jensen_shannon_is_that_of_quadrature(name):
    p, q = PAIRS[name]
    log_p, log_q = (torch.as_tensor(g.log_prob(FINE[:, None])) for g in (p, q))
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    inside = torch.where(torch.isfinite(log_m) & (log_m > -600), 0.5, 0.0)
    parts = [torch.where(x > -600, x.exp() * (x - log_m), 0.0) for x in (log_p, log_q)]
    truth = torch.trapezoid(inside * sum(parts), FINE)
    found = [jensen_shannon_estimate(p, q, n=2048, seed=seed) for seed in range(60)]
    held = sum(float(e.interval[0]) <= truth <= float(e.interval[1]) for e in found)
    assert held >= 50  # 57 expected; four standard deviations
    assert abs(np.mean([float(e.value) for e in found]) - truth) < 1e-3
    assert all(e.n >= 2048 for e in found)


def test_jensen_shannon_is_symmetric_bounded_and_differentiable():
    p, q = PAIRS["apart"]
    one, other = jensen_shannon_estimate(p, q, seed=0), jensen_shannon_estimate(q, p, seed=1)
    assert abs(one.value - other.value) <= 4 * (one.standard_error**2 + other.standard_error**2) ** 0.5
    far = jensen_shannon_estimate(p, Gaussian.from_std([1e6], [1.0]), seed=0)
    assert abs(float(far.value) - math.log(2)) < 1e-12
    assert abs(jensen_shannon_estimate(p, p, seed=0).value) < 1e-12
    mean = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(jensen_shannon_estimate(Gaussian.from_std(mean, [1.0]), q, seed=0).value, mean)
    values = [
        jensen_shannon_estimate(Gaussian.from_std(mean.detach() + h, [1.0]), q, seed=0).value for h in (1e-3, -1e-3)
    ]
    # The same points moved: what is left is the third derivative, times the square of the step.
    assert abs((values[0] - values[1]) / 2e-3 - slope) < 1e-3
    batch = Gaussian.from_std(torch.zeros(3, 1), torch.ones(3, 1))
    assert jensen_shannon_estimate(batch, Gaussian.standard(1), seed=0).value.shape == (3,)


def test_methods_shapes_and_densities_that_do_not_fit_are_refused():
    p, q = PAIRS["near"]
    with pytest.raises(ValueError, match="method is one of"):
        kl_estimate(p, q, method="knn")
    with pytest.raises(ValueError, match="at least 1"):
        kl_estimate(p, q, n=0)
    with pytest.raises(ValueError, match="tolerance is"):
        kl_estimate(p, q, tolerance=0.0)
    with pytest.raises(ShapeError, match="event shape"):
        kl_estimate(p, Gaussian.standard(2))
    with pytest.raises(ShapeError, match="do not broadcast"):
        kl_estimate(Gaussian.from_std(torch.zeros(2, 1), 1.0), Gaussian.from_std(torch.zeros(3, 1), 1.0))
    with pytest.raises(TypeError, match="Are these samples"):
        jensen_shannon_estimate(torch.zeros(10, 1), q)
    with pytest.raises(TypeError, match="log_prob"):
        kl_estimate("p", q)
    broken = Gaussian.from_std(torch.tensor([math.nan]), torch.ones(1), validate=False)
    with pytest.raises(ValueError, match=r"log-density of Gaussian.* is NaN"):
        kl_estimate(p, broken)
    uniform = distributions.Independent(distributions.Uniform(torch.tensor([-1.0]), 1.0, validate_args=False), 1)
    found = kl_estimate(p, uniform, seed=0)
    assert [float(v) for v in (found.value, *found.interval)] == [math.inf] * 3
    assert "infinite" in found.warnings[0]
    assert "biased" in kl_estimate(p, q, method="k2").warnings[0]


def products_of_mixtures(d):
    each = D.MixtureSameFamily(D.Categorical(torch.ones(d, 2)), D.Normal(torch.arange(2.0).expand(d, 2), 1.0))
    return D.Independent(each, 1)


def test_products_of_mixtures_of_other_coordinates_are_refused():
    for p in (Gaussian.standard(3), products_of_mixtures(3)):
        for estimate in (kl_estimate, cross_entropy_estimate, jensen_shannon_estimate):
            with pytest.raises(ShapeError, match=r"event shape \(3,\), q has \(2,\)"):
                estimate(p, products_of_mixtures(2), n=64)
    with pytest.raises(ShapeError, match=r"samples of shape \(3,\), the density has event shape \(2,\)"):
        kl_estimate(torch.randn(100, 3), products_of_mixtures(2))
    with pytest.raises(ShapeError, match=r"product of 2 mixtures .* got points of shape \(5, 3\)"):
        as_density(products_of_mixtures(2), "p").log_prob(torch.zeros(5, 3))


def test_a_log_density_of_another_number_of_points_is_refused():
    class Constant:
        def log_prob(self, x):
            return torch.zeros(1)

    mixture = Mixture([0.5, 0.5], Gaussian.from_std(torch.zeros(2, 2), 1.0))
    for p in (Gaussian.standard(2), mixture, D.Independent(D.Laplace(torch.zeros(2), 1.0), 1)):
        for estimate in (kl_estimate, cross_entropy_estimate):
            with pytest.raises(ShapeError, match="expected one number for each point"):
                estimate(p, Constant(), n=64)


def test_cross_entropies_of_each_coordinate_are_refused():
    class PerCoordinate:
        def log_prob(self, x):
            return -(x**2) / 2

    with pytest.raises(ShapeError, match="Are the coordinates summed over"):
        cross_entropy_estimate(Gaussian.standard(2), PerCoordinate(), n=64)


@pytest.mark.parametrize("family", [D.Normal, D.LogNormal])
def test_gradients_under_transforms_of_functions_are_those_of_the_closed_form(family):
    def divergence(mean):
        # Of densities whose divergence is that of normal ones, written so that it is not seen.
        q = Gaussian.from_std(torch.zeros(1), 1.5)
        one = {"log_prob": lambda x: q.log_prob(x[..., None])}
        if family is D.LogNormal:
            one = {"log_prob": lambda y: q.log_prob(y.log()[..., None]) - y.log()}
        return kl_estimate(family(mean, torch.tensor(1.0)), SimpleNamespace(**one), n=2**16, seed=0).value

    # The derivative of mean^2 / (2 * 1.5^2); independent draws are off by 1 / (1.5^2 * 256).
    assert abs(float(torch.func.grad(divergence)(torch.tensor(0.3))) - 0.3 / 2.25) < 5 / (2.25 * 256)
