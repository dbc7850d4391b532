"""What people held, from public reports; the right values are stated where they come from."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity
from torch import distributions as D

from kullback import Gaussian, Mixture, NoClosedForm, kl_divergence, kl_estimate


class Prior:
    """Only a log-density: a flow, an energy model."""

    def log_prob(self, z):
        return (-(z**2) / 2 - math.log(2 * math.pi) / 2).sum(-1)


def is_near(estimate, truth, most):
    error = float(estimate.standard_error)
    return abs(float(estimate.value) - truth) < 5 * error < most


def test_F8_a_sample_that_returns_a_pair():
    class Flow(Prior):
        def sample(self, n):
            z = torch.randn(n, 2)
            return z, self.log_prob(z)

    # Half of the square of the distance of the means.
    assert is_near(kl_estimate(Flow(), Gaussian.from_std(torch.tensor([1.0, 0.0]), torch.ones(2)), seed=0), 0.5, 0.05)


@pytest.mark.parametrize("transform", [D.AffineTransform(1.0, 2.0), D.TanhTransform(cache_size=1)])
def test_A1_transformed_gaussians(transform):
    p, q = (
        D.TransformedDistribution(
            D.Independent(D.Normal(torch.tensor([m, -m]), torch.tensor([s, 2 * s])), 1), transform
        )
        for m, s in ((0.3, 0.5), (0.1, 0.6))
    )
    # 0.1285, as torch gives it: nothing changes under a bijection on both sides.
    truth = float(torch.distributions.kl_divergence(p, q))
    assert truth == pytest.approx(0.1285, abs=1e-4)
    assert float(kl_divergence(p, q)) == pytest.approx(truth, rel=1e-5)
    assert is_near(kl_estimate(p, q, seed=0), truth, 1e-3)


def test_A1_squashed_gaussians_of_which_tanh_rounds_to_one():
    base = [D.Independent(D.Normal(torch.full((2,), m), 1.0), 1) for m in (3.0, 2.0)]
    p, q = (D.TransformedDistribution(b, D.TanhTransform()) for b in base)
    sigmoid = D.TransformedDistribution(base[1], [D.SigmoidTransform(), D.AffineTransform(-1.0, 2.0)])
    # 2 σ(2 x) - 1 is tanh x: under the sigmoid lies twice x, N(6, 2) against N(2, 1) in each coordinate.
    assert float(kl_divergence(p, sigmoid)) == pytest.approx(2 * (math.log(0.5) + (4 + 16) / 2 - 0.5), rel=1e-5)
    assert is_near(kl_estimate(p, sigmoid, seed=0), 2 * (math.log(0.5) + (4 + 16) / 2 - 0.5), 1e-2)
    assert float(kl_divergence(p, q)) == pytest.approx(1.0, rel=1e-6)


def test_A2_a_wrapper_with_a_distribution():
    class DiagGaussian:
        """Of the shape of Stable-Baselines3's."""

        def __init__(self, mean, log_std):
            self.distribution = D.Normal(mean, log_std.exp())

        def log_prob(self, a):
            return self.distribution.log_prob(a).sum(-1)

        def sample(self):
            return self.distribution.rsample()

    p, q = DiagGaussian(torch.zeros(5, 3), torch.zeros(3)), DiagGaussian(torch.ones(5, 3), torch.zeros(3))
    truth = torch.distributions.kl_divergence(p.distribution, q.distribution).sum(-1)
    assert truth.tolist() == [1.5] * 5
    assert kl_divergence(p, q).tolist() == pytest.approx([1.5] * 5)
    assert kl_estimate(p, q, seed=0).value.tolist() == pytest.approx([1.5] * 5, abs=1e-3)


@pytest.mark.parametrize(
    "q",
    [
        D.Laplace(torch.tensor(0.0), torch.tensor(1.0)),
        D.LogNormal(torch.tensor(0.0), torch.tensor(1.0)),
        D.Gamma(torch.tensor(2.0), torch.tensor(1.0)),
    ],
)
def test_A3_no_closed_form_says_what_to_do(q):
    # What torch has is returned, and what nobody has names the estimate.
    assert float(kl_divergence(q, q)) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(NoClosedForm, match=r"kl_estimate\(p, q\)"):
        kl_divergence(q, D.Cauchy(torch.tensor(0.0), torch.tensor(1.0)))


def test_A11_a_prior_that_is_only_a_log_density():
    p = Gaussian.from_std(torch.ones(3), torch.ones(3))
    assert is_near(kl_estimate(p, Prior(), seed=0), 1.5, 0.01)  # half of the square of the distance of the means
    x = np.random.default_rng(0).normal(size=(300, 1))
    kernels = KernelDensity(bandwidth=0.4).fit(x)
    # The same kernel density, as scipy has it: its bandwidth is in units of the standard deviation.
    other = stats.gaussian_kde(x.T, bw_method=0.4 / x.std(ddof=1))
    near, points = Gaussian.from_std([0.3], [0.5]), np.linspace(-3.0, 3.0, 2001)
    log_ratio = stats.norm(0.3, 0.5).logpdf(points) - other.logpdf(points)
    truth = np.trapezoid(stats.norm(0.3, 0.5).pdf(points) * log_ratio, points)
    for q in (kernels, other):
        assert is_near(kl_estimate(near, q, seed=0, n=4096), truth, 0.01)
    assert float(kl_estimate(kernels, near, seed=0, n=1024).value) > 0


def test_A18_frozen_distributions_of_scipy():
    p = stats.multivariate_normal([0, 0], np.eye(2))
    q = stats.multivariate_normal([1, 1], [[1, 0.5], [0.5, 1]])
    assert float(kl_divergence(p, q)) == pytest.approx(0.856159, abs=1e-6)  # mpmath, of the means and covariances
    assert is_near(kl_estimate(p, q, seed=0), 0.856159, 0.01)


def test_A19_a_bayesian_mixture_of_scikit_learn():
    x = np.random.default_rng(0).normal(size=(300, 2))
    g = GaussianMixture(2, random_state=0).fit(x)
    b = BayesianGaussianMixture(n_components=2, random_state=0).fit(x)
    same = Mixture(b.weights_, Gaussian.from_covariance(b.means_, b.covariances_))
    found = kl_estimate(b, g, seed=0)
    assert float(found.value) == pytest.approx(0.0083, abs=5e-4)
    assert float(found.value) == pytest.approx(float(kl_estimate(same, g, seed=0).value), rel=1e-9)


MEANS = [torch.tensor(x, dtype=torch.float64) for x in ([0.3, -1.2, 2.0], [0.0, -1.0, 1.9])]
STDS = [torch.tensor(x, dtype=torch.float64) for x in ([0.5, 1.5, 0.01], [1.0, 0.25, 0.02])]


def test_squashed_policies_with_one_affine_map_after_the_tanh():
    """The truth, by 30 digits, is that of the Gaussians."""

    def policy(mean, std):
        base = D.Independent(D.Normal(mean, std), 1)
        return D.TransformedDistribution(base, [D.TanhTransform(), D.AffineTransform(0.0, 2.0)])

    value = kl_divergence(*map(policy, MEANS, STDS))
    assert float(value) == pytest.approx(29.2095348918918571566, rel=1e-14)


def test_log_normals_one_number_each():
    truth = torch.tensor([0.363147180559945306, 16.0282405307719448570, 12.8181471805599669934], dtype=torch.float64)
    torch.testing.assert_close(kl_divergence(*map(D.LogNormal, MEANS, STDS)), truth, rtol=1e-14, atol=0)
