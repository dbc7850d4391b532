"""Entropy, cross-entropy and Jensen–Shannon of mixtures: bounds hold quadrature, estimates say how far off they are."""

import math

import numpy as np
import pytest
import torch
from torch import distributions
from torch.testing import assert_close
from truth.mixtures import FINE, PAIRS, random_mixture

import kullback
from kullback import (
    Gaussian,
    Mixture,
    cross_entropy_bounds,
    cross_entropy_estimate,
    entropy_bounds,
    entropy_estimate,
    jensen_shannon_bounds,
    jensen_shannon_estimate,
    kl_estimate,
    mutual_information_estimate,
)


def minus_mean_log(p, q):
    log_p, log_q = (torch.as_tensor(g.log_prob(FINE[:, None])) for g in (p, q))
    return float(torch.trapezoid(torch.where(log_p > -600, -log_p.exp() * log_q, 0.0), FINE))


def shannon(p, q):
    """Of two densities on the line, by quadrature."""
    log_p, log_q = (torch.as_tensor(g.log_prob(FINE[:, None])) for g in (p, q))
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    parts = [torch.where(x > -600, x.exp() * (x - log_m), 0.0) for x in (log_p, log_q)]
    return float(torch.trapezoid(0.5 * sum(parts), FINE))


@pytest.mark.parametrize("name", PAIRS)
def test_bounds_of_entropies_hold_quadrature(name):
    p, q = PAIRS[name]
    for bounds, truth in (
        (entropy_bounds(p), minus_mean_log(p, p)),
        (entropy_bounds(q), minus_mean_log(q, q)),
        (cross_entropy_bounds(p, q), minus_mean_log(p, q)),
        (cross_entropy_bounds(q, p), minus_mean_log(q, p)),
        (jensen_shannon_bounds(p, q), shannon(p, q)),
    ):
        assert float(bounds.lower) - 1e-9 <= truth <= float(bounds.upper) + 1e-9
    assert float(jensen_shannon_bounds(p, q).upper) <= math.log(2)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_of_entropies_hold_their_estimates(seed):
    g = torch.Generator().manual_seed(100 + seed)
    d, k, m = (int(torch.randint(1, n, (1,), generator=g)) for n in (9, 12, 12))
    kinds = ("std", "covariance")
    p, q = (random_mixture(g, size, d, 1.5, kinds[(seed >> i) & 1]) for i, size in enumerate((k, m)))
    for bounds, found in (
        (entropy_bounds(p), entropy_estimate(p, n=2**13, seed=0)),
        (cross_entropy_bounds(p, q), cross_entropy_estimate(p, q, n=2**13, seed=0)),
        (jensen_shannon_bounds(p, q), jensen_shannon_estimate(p, q, n=2**13, seed=0)),
    ):
        reach = 5 * float(found.standard_error) + 1e-9
        assert float(bounds.lower) - reach <= float(found.value) <= float(bounds.upper) + reach
        assert bounds.lower <= bounds.upper


def test_bounds_of_gaussians_meet_in_the_closed_form():
    p, q = Gaussian.from_std([0.0, 1.0], [1.0, 2.0]), Gaussian.from_covariance([0.0, 0.0], [[2.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(entropy_bounds(p), kullback.entropy(p), rtol=1e-14)
    np.testing.assert_allclose(cross_entropy_bounds(p, q), kullback.cross_entropy(p, q), rtol=1e-14)
    mixture = Mixture([0.5, 0.5], Gaussian.from_std([[-3.0, 0.0], [3.0, 1.0]], 1.0))
    low, high = cross_entropy_bounds(mixture, q)
    np.testing.assert_allclose(low, high, rtol=1e-14)  # of one Gaussian q the mean of log q is exact
    np.testing.assert_allclose(low, cross_entropy_estimate(mixture, q, seed=0).value, atol=1e-4)
    np.testing.assert_allclose(jensen_shannon_bounds(mixture, mixture), 0.0, atol=1e-12)


@pytest.mark.parametrize("name", ["apart", "near"])
def test_intervals_of_entropies_hold_as_often_as_they_say(name):
    p, q = PAIRS[name]
    for estimate, truth in (
        (lambda seed: entropy_estimate(p, n=1024, seed=seed), minus_mean_log(p, p)),
        (lambda seed: cross_entropy_estimate(p, q, n=1024, seed=seed), minus_mean_log(p, q)),
    ):
        found = [estimate(seed) for seed in range(100)]
        assert sum(float(e.interval[0]) <= truth <= float(e.interval[1]) for e in found) >= 86
        assert abs(np.mean([float(e.value) for e in found]) - truth) < 1e-3


def test_numbers_beyond_those_of_the_dtype_leave_what_is_always_true():
    near = Gaussian.from_std([0.0], [1.0])
    mixture = Mixture([0.5, 0.5], Gaussian.from_std([[0.0], [1.0]], 1.0))
    for far in (
        Gaussian.from_std([1e160], [1.0]),
        Gaussian.from_std([0.0], [1e160]),
        Gaussian.from_std([1e200], [1.0]),
    ):
        for p, q in ((near, far), (far, near), (mixture, far)):
            low, high = map(float, jensen_shannon_bounds(p, q))
            assert 0.0 <= low <= high
            assert high == math.log(2)
            low, high = map(float, kullback.kl_bounds(mixture, far))
            assert 0.0 <= low <= high
    broken = Mixture([0.5, 0.5], Gaussian.from_std([[math.nan], [0.0]], 1.0, validate=False))
    for bounds in (entropy_bounds(broken), cross_entropy_bounds(near, broken), jensen_shannon_bounds(near, broken)):
        assert np.isnan(bounds).all()


def test_an_entropy_may_be_negative_and_other_densities_have_one():
    narrow = Mixture([0.5, 0.5], Gaussian.from_std([[0.0], [1.0]], [[1e-3], [1e-3]]))
    found = entropy_estimate(narrow, seed=0)
    assert found.value < -4
    assert not found.warnings
    laplace = distributions.Laplace(torch.zeros(2), torch.tensor([1.0, 2.0]))
    found = entropy_estimate(laplace, seed=0)
    assert found.value.shape == (2,)
    assert ((found.value - laplace.entropy()).abs() < 5 * found.standard_error).all()
    rate = torch.tensor(2.0, requires_grad=True)
    with pytest.raises(ValueError, match="no rsample"):
        entropy_estimate(distributions.Poisson(rate))
    with pytest.raises(ValueError, match="no rsample"):
        cross_entropy_estimate(distributions.Poisson(rate), distributions.Poisson(3.0))


def test_gradients_of_the_entropy_are_those_of_quadrature_and_bounds_have_some():
    mean = torch.tensor([[-1.0], [2.0]], dtype=torch.float64, requires_grad=True)

    def mixture():
        return Mixture([0.4, 0.6], Gaussian.from_std(mean, [[1.0], [0.5]]))

    log_p = mixture().log_prob(FINE[:, None])
    (want,) = torch.autograd.grad(-torch.trapezoid(log_p.exp() * log_p.clamp(min=-700), FINE), mean)
    slopes = [torch.autograd.grad(entropy_estimate(mixture(), seed=s).value, mean)[0] for s in range(16)]
    spread = torch.stack(slopes).std(0) / 4
    assert ((torch.stack(slopes).mean(0) - want).abs() < 5 * spread + 1e-9).all()
    for bounds in (entropy_bounds(mixture()), jensen_shannon_bounds(mixture(), Gaussian.from_std([0.0], [1.0]))):
        for side in bounds:
            (slope,) = torch.autograd.grad(side, mean, retain_graph=True)
            assert torch.isfinite(slope).all()
            assert (slope != 0).any()


def posteriors(n, d, spread, seed=0):
    g = torch.Generator().manual_seed(seed)
    mean = spread * torch.randn(n, d, generator=g, dtype=torch.float64)
    return Gaussian.from_std(mean, 0.5 + 0.5 * torch.rand(n, d, generator=g, dtype=torch.float64))


@pytest.mark.parametrize(("n", "d", "spread"), [(2, 1, 1.0), (30, 2, 1.0), (500, 3, 2.0), (3000, 2, 1.0)])
def test_mutual_information_and_the_aggregated_divergence_are_the_rate(n, d, spread):
    q, prior = posteriors(n, d, spread), Gaussian.standard(d)
    information = mutual_information_estimate(q, seed=0)
    rest = kl_estimate(Mixture.aggregate(q), prior, seed=1)
    rate = float(kullback.kl_divergence(q, prior).mean())
    error = float(information.standard_error**2 + rest.standard_error**2) ** 0.5
    assert abs(float(information.value) + float(rest.value) - rate) < 5 * error + 1e-9
    assert 0 <= float(information.value) <= math.log(n)


def test_mutual_information_is_right_at_both_ends():
    one = Gaussian.from_std(torch.zeros(50, 2).double(), torch.ones(50, 2).double())
    assert abs(float(mutual_information_estimate(one, seed=0).value)) < 1e-9
    apart = Gaussian.from_std(1e3 * torch.arange(50.0).double()[:, None], torch.ones(50, 1).double())
    found = mutual_information_estimate(apart, n=2048, seed=0)
    assert abs(float(found.value) - math.log(50)) < 1e-9
    assert float(found.standard_error) < 1e-9
    assert "log N = 3.912" in found.warnings[0]
    held = 0
    q = posteriors(20, 2, 1.0)
    truth = float(mutual_information_estimate(q, n=2**19, seed=1000).value)
    for seed in range(100):
        e = mutual_information_estimate(q, n=1024, seed=seed)
        held += bool(e.interval[0] <= truth <= e.interval[1])
    assert held >= 86
    mean = q.mean.clone().requires_grad_()
    value = mutual_information_estimate(Gaussian.from_std(mean, q.scale.value), n=2**15, seed=0).value
    (slope,) = torch.autograd.grad(value, mean)
    step = torch.zeros_like(mean)
    step[3, 1] = 1e-4
    ends = [
        mutual_information_estimate(Gaussian.from_std(q.mean + s * step, q.scale.value), n=2**15, seed=0).value
        for s in (1, -1)
    ]
    assert_close(slope[3, 1], (ends[0] - ends[1]) / 2e-4, rtol=1e-3, atol=1e-6)
    with pytest.raises(kullback.ShapeError, match="aggregate takes a batch"):
        mutual_information_estimate(Gaussian.standard(3))
