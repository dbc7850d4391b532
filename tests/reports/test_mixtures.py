"""Mixtures as priors and as aggregated posteriors: what people held, with the right value and how it is known."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import distributions

from kullback import Gaussian, Mixture, kl_bounds, kl_estimate
from kullback.losses import mixture_prior_kl


def prior_gradient(mean, components, n):
    """The gradient of the mean of KL(N(mean, I)‖prior) with respect to the means, and its standard errors.

    With the probabilities r of components of equal weight and variances 1 it is E sum_k r_k(x) (x - component_k): the
    entropy does not depend on the mean.
    """
    noise = torch.randn(n, *mean.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x = mean + noise
    r = (-0.5 * (x.unsqueeze(-2) - components).square().sum(-1)).softmax(-1)
    each = (x - r @ components) / len(mean)
    return each.mean(0), each.std(0) / math.sqrt(n)


@pytest.mark.parametrize("way", ["kl_estimate with n=64", "mixture_prior_kl"])
def test_A4_a_mixture_prior_as_a_loss_has_the_gradient_of_the_divergence(way):
    mu = torch.randn(32, 16, requires_grad=True)
    components = torch.randn(10, 16)
    normals = distributions.Independent(distributions.Normal(components, torch.ones(10, 16)), 1)
    prior = distributions.MixtureSameFamily(distributions.Categorical(torch.ones(10)), normals)
    posteriors = distributions.Independent(distributions.Normal(mu, torch.ones(32, 16)), 1)

    def loss(seed):
        if way == "mixture_prior_kl":
            return mixture_prior_kl(posteriors, prior, generator=torch.Generator().manual_seed(seed)).mean()
        return kl_estimate(posteriors, prior, seed=seed, n=64).value.mean()

    found = torch.stack([torch.autograd.grad(loss(seed), mu)[0] for seed in range(64)]).double()
    truth, error = prior_gradient(mu.detach().double(), components.double(), 4096)
    spread = found.std(0) / math.sqrt(len(found))
    off = (found.mean(0) - truth) / (spread.square() + error.square()).sqrt()
    # 512 numbers of about a standard normal distribution; Student's t of 63 degrees of freedom is a little wider.
    assert off.abs().max() < 5.0
    assert abs(off.square().mean() - 1.0) < 0.5
    # A single step goes the right way.
    assert ((found - truth).flatten(1).norm(dim=1) < 0.25 * truth.norm()).all()


def test_A5_the_bounds_of_a_batch_are_those_of_each_pair():
    weights, stds = [0.25, 0.75], [1.0, 0.0025]
    prior = distributions.MixtureSameFamily(
        distributions.Categorical(torch.tensor(weights)), distributions.Normal(torch.zeros(2), torch.tensor(stds))
    )
    narrow = stats.norm(0.0, 0.05)

    def integrand(x):
        log_q = np.logaddexp(*(math.log(w) + stats.norm(0.0, s).logpdf(x) for w, s in zip(weights, stds, strict=True)))
        return narrow.pdf(x) * (narrow.logpdf(x) - log_q)

    truth = 2 * integrate.quad(integrand, 0.0, 0.6, points=[0.003, 0.01, 0.02], limit=200, epsabs=1e-12)[0]
    for n in (64, 256):
        found = kl_bounds(distributions.Normal(torch.zeros(n), torch.full((n,), 0.05)), prior)
        assert found.lower.shape == found.upper.shape == (n,)
        assert (found.lower <= truth).all()
        assert (truth <= found.upper).all()
        one = kl_bounds(distributions.Normal(0.0, 0.05), prior)
        torch.testing.assert_close(found.lower, one.lower.expand(n), rtol=1e-6, atol=0.0)
        torch.testing.assert_close(found.upper, one.upper.expand(n), rtol=1e-6, atol=0.0)


def test_A12_total_correlation_of_the_aggregated_posterior():
    torch.manual_seed(0)
    mu, logvar = torch.randn(500, 3), torch.full((500, 3), -2.0)
    posteriors = Gaussian.from_logvar(mu, logvar)
    marginals = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(3, 500)), distributions.Normal(posteriors.mean.T, posteriors.stddev.T)
    )
    found = kl_estimate(Mixture.aggregate(posteriors), distributions.Independent(marginals, 1), seed=0)
    # The report's value, of an average with this error.
    assert abs(found.value - 0.0942) < 4 * math.hypot(0.0009, found.standard_error)
    # Plain Monte Carlo, from the definition.
    r = np.random.default_rng(0)
    means, std = mu.double().numpy(), math.exp(-1.0)
    x = means[r.integers(500, size=6_000)] + std * r.normal(size=(6_000, 3))
    each = stats.norm.logpdf(x[:, None], means, std)
    log_ratio = np.log(np.exp(each.sum(-1)).mean(1)) - np.log(np.exp(each).mean(1)).sum(-1)
    error = math.hypot(log_ratio.std() / math.sqrt(len(x)), found.standard_error)
    assert error < 0.01
    assert abs(found.value - log_ratio.mean()) < 4 * error


def test_posteriors_of_a_batch_each_against_one_mixture_prior():
    prior = Mixture([0.2, 0.5, 0.3], Gaussian.from_std([[-2.0], [0.5], [3.0]], [[0.5], [1.0], [0.25]]))
    mean, std = np.array([[0.0, 1.0], [3.0, 0.1], [-2.5, 2.0], [0.4, 0.02]]).T[..., None]
    posteriors = Gaussian.from_std(mean, std)
    # By mpmath, to 20 digits.
    truth = np.array([0.53809011156789418209, 1.6798981236572475023, 4.2983516377936205867, 4.1103620560070509929])
    bounds = kl_bounds(posteriors, prior)
    assert (bounds.lower <= truth).all()
    assert (truth <= bounds.upper).all()
    found = kl_estimate(posteriors, prior, seed=0)
    assert (np.abs(found.value - truth) <= 4 * found.standard_error + 1e-9).all()
    terms = mixture_prior_kl(posteriors, prior, n=2**18)
    np.testing.assert_allclose(terms, truth, atol=0.01)
