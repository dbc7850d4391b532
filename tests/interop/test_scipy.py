"""Distributions of scipy and scikit-learn, lists, and densities that lack a method or have another."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from kullback import (
    Gaussian,
    Mixture,
    NoClosedForm,
    ShapeError,
    as_gaussian,
    jensen_shannon_estimate,
    kl_divergence,
    kl_estimate,
)


def test_frozen_normals_are_gaussians():
    p = stats.multivariate_normal([0, 0], np.eye(2))
    q = stats.multivariate_normal([1, 1], [[1, 0.5], [0.5, 1]])
    assert float(kl_divergence(p, q)) == pytest.approx(0.856159, abs=1e-6)
    covariance = stats.multivariate_normal([1, 1], stats.Covariance.from_diagonal([1.0, 4.0]))
    assert_close(as_gaussian(covariance).covariance_matrix, torch.diag(torch.tensor([1.0, 4.0], dtype=torch.float64)))
    rows = kl_divergence(stats.norm([0.0, 1.0], 2.0), stats.norm(1.0, 3.0))
    want = kl_divergence(Normal(torch.tensor([0.0, 1.0]), 2.0), Normal(torch.tensor(1.0), 3.0))
    assert rows == pytest.approx(want.numpy(), rel=1e-6)


@pytest.mark.parametrize(
    "covariance",
    [
        [[0.72, -0.96], [-0.96, 1.28]],
        stats.Covariance.from_eigendecomposition((np.array([0.0, 2.0]), np.array([[0.8, -0.6], [0.6, 0.8]]))),
    ],
)
def test_singular_normals_of_scipy_are_singular(covariance):
    g = as_gaussian(stats.multivariate_normal([1, 2], covariance, allow_singular=True))
    want = torch.tensor([[0.72, -0.96], [-0.96, 1.28]], dtype=torch.float64)
    assert_close(g.covariance_matrix, want, rtol=1e-12, atol=1e-15)
    assert not g.scale.has_density
    # Along the one dimension of the support the variance is twice that of the other: (2 - 1 - ln 2) / 2.
    half = as_gaussian(stats.multivariate_normal([1, 2], want.numpy() / 2, allow_singular=True))
    assert float(kl_divergence(g, half)) == pytest.approx(0.5 * (1 - math.log(2)), rel=1e-9)


@pytest.mark.skipif(not hasattr(stats, "Normal"), reason="scipy before 1.15")
def test_normals_of_the_new_distributions_of_scipy_are_gaussians():
    # ln(σq / σp) + (σp² + Δ²) / (2 σq²) - 1/2.
    value = kl_divergence(stats.Normal(mu=1.0, sigma=2.0), stats.Normal())
    assert float(value) == pytest.approx(2 - math.log(2), rel=1e-15)
    assert as_gaussian(stats.Normal(mu=[1.0, 2.0], sigma=2.0)).batch_shape == (2,)
    with pytest.raises(NoClosedForm, match=r"an object with log_prob\(x\) and sample\(n\)"):
        as_gaussian(2 * stats.Normal() + 1)


def test_discrete_distributions_of_scipy_are_said_to_be_discrete():
    for x in (stats.poisson(3), stats.multinomial(3, [0.5, 0.5])):
        with pytest.raises(NoClosedForm, match="of scipy, which is discrete"):
            kl_divergence(x, x)


def test_a_distribution_that_is_called_norm_need_not_be_one():
    class Laplace(stats.rv_continuous):
        def _pdf(self, x):
            return 0.5 * np.exp(-abs(x))

    with pytest.raises(NoClosedForm, match="kl_estimate"):
        as_gaussian(Laplace(name="norm")())


def test_classes_built_on_those_of_scipy_are_read():
    class Kernels(stats.gaussian_kde):
        __module__ = "elsewhere"

    class Frozen(type(stats.norm())):
        __module__ = "elsewhere"

    assert as_gaussian(Frozen(stats.norm, 1.0, 2.0)).stddev == 2.0
    x, p = np.random.default_rng(0).normal(size=(2, 400)), Gaussian.standard(2)
    found, want = (kl_estimate(p, q, seed=0, n=512).value for q in (Kernels(x), stats.gaussian_kde(x)))
    assert float(found) == float(want)


def test_other_frozen_distributions_and_kernel_densities_are_densities():
    p = Gaussian.from_std([0.3], [0.5])
    # -log of Laplace's density, less the entropy, by scipy's own quadrature.
    laplace = stats.laplace(0.0, 1.0)
    truth = stats.norm(0.3, 0.5).expect(lambda x: stats.norm(0.3, 0.5).logpdf(x) - laplace.logpdf(x), lb=-9, ub=9)
    estimate = kl_estimate(p, laplace, seed=0)
    assert abs(float(estimate.value) - truth) < 5 * float(estimate.standard_error) < 0.01
    drawn = kl_estimate(laplace, stats.norm(0.0, 2.0), seed=0)
    truth = laplace.expect(lambda x: laplace.logpdf(x) - stats.norm(0.0, 2.0).logpdf(x), lb=-99, ub=99)
    assert abs(float(drawn.value) - truth) < 5 * float(drawn.standard_error) < 0.1
    assert float(kl_estimate(laplace, stats.norm(0.0, 2.0), seed=0).value) == float(drawn.value)
    x = np.random.default_rng(0).normal(size=(2, 400))
    kernels = kl_estimate(Gaussian.standard(2), stats.gaussian_kde(x), seed=0, n=4096)
    assert 0 < float(kernels.value) < 0.2
    assert np.isfinite(float(jensen_shannon_estimate(Gaussian.standard(2), stats.gaussian_kde(x), seed=0, n=512).value))
    with pytest.raises(ShapeError, match="one-dimensional distribution of scipy"):
        kl_estimate(Gaussian.standard(2), laplace, seed=0)


def test_a_bayesian_mixture_is_a_mixture():
    x = np.random.default_rng(0).normal(size=(300, 2))
    bayesian = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
    other = GaussianMixture(2, random_state=0).fit(x)
    same = Mixture(bayesian.weights_, Gaussian.from_covariance(bayesian.means_, bayesian.covariances_))
    assert float(kl_estimate(bayesian, other, seed=0).value) == pytest.approx(
        float(kl_estimate(same, other, seed=0).value), rel=1e-9
    )
    with pytest.raises(ValueError, match="BayesianGaussianMixture that has not been fitted"):
        kl_estimate(BayesianGaussianMixture(n_components=2), other)


def test_lists_of_gaussians_are_batches():
    each = [Independent(Normal(torch.full((3,), float(i)), 1.0), 1) for i in range(4)]
    assert_close(kl_divergence(each, Gaussian.standard(3)), torch.tensor([1.5 * i * i for i in range(4)]))
    assert kl_divergence([Gaussian.standard(2)], [Gaussian.standard(2)]).shape == (1,)
    with pytest.raises(ShapeError, match="event shapes"):
        kl_divergence([Gaussian.standard(2), Gaussian.standard(3)], Gaussian.standard(2))
    with pytest.raises(TypeError, match="got list"):
        kl_divergence([1.0, 2.0], Gaussian.standard(2))


class LogDensity:
    """A flow, an energy model: a log-density and nothing else."""

    def log_prob(self, z):
        return (-(z**2) / 2 - math.log(2 * math.pi) / 2).sum(-1)


class Flow(LogDensity):
    def sample(self, n):
        z = torch.randn(n, 2)
        return z, self.log_prob(z)


def test_what_is_not_drawn_from_needs_no_sample_and_flows_return_pairs():
    p = Gaussian.from_std(torch.ones(3), torch.ones(3))
    estimate = kl_estimate(p, LogDensity(), seed=0)
    assert abs(float(estimate.value) - 1.5) < 5 * float(estimate.standard_error) < 0.01
    with pytest.raises(TypeError, match=r"log_prob\(x\) and sample\(n\)"):
        kl_estimate(LogDensity(), p, seed=0)
    with pytest.raises(TypeError, match=r"sample\(n\)"):
        jensen_shannon_estimate(p, LogDensity(), seed=0)
    estimate = kl_estimate(Flow(), Gaussian.from_std(torch.tensor([1.0, 0.0]), torch.ones(2)), seed=0)
    assert abs(float(estimate.value) - 0.5) < 5 * float(estimate.standard_error) < 0.05


def test_kernel_densities_of_numbers_are_densities_of_numbers_and_of_vectors_of_one_coordinate():
    data = np.random.default_rng(0).normal(size=200)
    kernels, normal = stats.gaussian_kde(data), stats.norm(0.1, 1.2)
    width = kernels.factor * data.std(ddof=1)
    grid = np.linspace(-9, 9, 20_001)
    density = stats.norm(data, width).pdf(grid[:, None]).mean(1)
    log_ratio = np.log(density) - normal.logpdf(grid)
    forward = np.trapezoid(np.where(density > 1e-200, density * log_ratio, 0.0), grid)
    backward = -np.trapezoid(normal.pdf(grid) * log_ratio, grid)
    laplace = Independent(torch.distributions.Laplace(torch.zeros(1), 1.0), 1)
    numbers = [normal, Normal(0.1, 1.2), Gaussian.from_std(0.1, 1.2)]
    for q in [*numbers, Gaussian.from_std([0.1], [1.2]), Independent(Normal(torch.full((1,), 0.1), 1.2), 1)]:
        for found, truth in ((kl_estimate(kernels, q, seed=0), forward), (kl_estimate(q, kernels, seed=0), backward)):
            assert abs(float(found.value) - truth) < 5 * float(found.standard_error) < 0.02
    assert float(kl_estimate(kernels, laplace, seed=0, n=512).value) == pytest.approx(
        float(kl_estimate(kernels, stats.laplace(), seed=0, n=512).value), rel=1e-5
    )
    assert kl_estimate(kernels, kernels, n=64).value == 0
    samples = normal.rvs(1000, random_state=1)
    against = [kl_estimate(x, kernels, seed=0) for x in (samples, samples[:, None])]
    assert against[0].value == against[1].value
    assert against[0].band[0] <= backward <= against[0].band[1]
    with pytest.raises(ShapeError, match="got points of 2 coordinates"):
        kl_estimate(Gaussian.standard(2), kernels)


def test_a_distribution_that_is_not_frozen_is_refused_and_a_histogram_is_a_density():
    for law in (stats.norm, stats.t, stats.multivariate_t, stats.multivariate_normal):
        with pytest.raises(TypeError, match=rf"q is {law.__class__.__name__}, of no parameters yet: freeze it"):
            kl_estimate(Gaussian.from_std(0.0, 1.0), law)
    uniform = stats.rv_histogram((np.array([1, 1]), np.array([0.0, 0.5, 1.0])), density=False)
    # -log of the normal density, averaged over the unit interval.
    found = kl_estimate(uniform, Gaussian.from_std([0.0], [1.0]), seed=0)
    assert abs(float(found.value) - (0.5 * math.log(2 * math.pi) + 1 / 6)) < 5 * float(found.standard_error) < 0.01
