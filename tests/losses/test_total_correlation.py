"""The aggregated posterior from minibatches: unbiased, exact where all inputs are there, and the terms it gives."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kullback import Gaussian, Mixture, NoClosedForm, ShapeError, mutual_information_estimate
from kullback.losses import minibatch_log_prob, total_correlation_terms


def posteriors(n, d, seed=0):
    g = torch.Generator().manual_seed(seed)
    mean = torch.randn(n, d, generator=g, dtype=torch.float64)
    return Gaussian.from_std(mean, 0.3 + torch.rand(n, d, generator=g, dtype=torch.float64))


def test_over_all_minibatches_the_mean_is_the_density():
    q = posteriors(7, 2)
    z = q.sample(1, generator=torch.Generator().manual_seed(1))[0]
    exact = Mixture.aggregate(q).log_prob(z).exp()
    for m in (2, 4, 7):
        for i in range(7):
            others = [j for j in range(7) if j != i]
            found = []
            for chosen in itertools.combinations(others, m - 1):
                rows = torch.tensor([i, *chosen])
                found.append(minibatch_log_prob(q[rows], z[rows], 7)[0].exp())
            assert_close(torch.stack(found).mean(), exact[i], rtol=1e-12, atol=0)
    assert_close(minibatch_log_prob(q, z, 7).exp(), exact, rtol=1e-12, atol=0)


def test_the_terms_add_up_and_are_those_of_the_densities():
    q, prior = posteriors(9, 3), Gaussian.from_std([0.0, 0.5, 0.0], [1.0, 2.0, 1.5])
    z = q.sample(1, generator=torch.Generator().manual_seed(1))[0]
    terms = total_correlation_terms(q, z, 9, prior=prior)
    own = torch.stack([q[i].log_prob(z[i]) for i in range(9)])
    whole = Mixture.aggregate(q).log_prob(z)
    margins = sum(
        Mixture.aggregate(Gaussian.from_std(q.mean[:, k : k + 1], q.scale.value[:, k : k + 1])).log_prob(
            z[:, k : k + 1]
        )
        for k in range(3)
    )
    assert_close(terms.index_code_mi, (own - whole).mean())
    assert_close(terms.total_correlation, (whole - margins).mean())
    assert_close(terms.dimension_wise_kl, (margins - prior.log_prob(z)).mean())
    standard = total_correlation_terms(q, z, 9)
    assert_close(sum(standard), (own - Gaussian.standard(3).log_prob(z)).mean())
    assert_close(sum(terms), (own - prior.log_prob(z)).mean())


def test_far_posteriors_are_told_apart_by_all_inputs_and_not_by_the_minibatch():
    n, m = 10_000, 64
    q = Gaussian.from_std(100.0 * torch.arange(float(n))[:, None], torch.ones(n, 1))
    rows = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:m]
    terms = total_correlation_terms(q[rows], q.mean[rows], n)
    assert abs(float(terms.index_code_mi) - math.log(n)) < 1e-4


def test_the_mutual_information_is_estimated_high_and_nearly():
    q = posteriors(400, 2, seed=2)
    truth = float(mutual_information_estimate(q, seed=0).value)
    g = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        rows = torch.randperm(400, generator=g)[:128]
        z = q[rows].sample(1, generator=g)[0]
        found.append(total_correlation_terms(q[rows], z, 400).index_code_mi)
    found = torch.stack(found)
    error = float(found.std()) / 200**0.5
    assert truth - 4 * error < float(found.mean()) < truth + 0.05


def test_the_terms_are_differentiable_for_any_event_shape_and_half_precision():
    mean = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    logvar = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(4, 2, dtype=torch.float64)

    def terms(mean, logvar):
        q = Gaussian.from_logvar(mean, logvar)
        return tuple(total_correlation_terms(q, mean + (0.5 * logvar).exp() * noise, 50))

    assert torch.autograd.gradcheck(terms, (mean, logvar))
    images = Gaussian.from_logvar(torch.zeros(5, 2, 3), torch.zeros(5, 2, 3), event_dims=2)
    flat = Gaussian.from_logvar(torch.zeros(5, 6), torch.zeros(5, 6))
    z = torch.randn(5, 2, 3)
    for one, other in zip(
        total_correlation_terms(images, z, 5), total_correlation_terms(flat, z.reshape(5, 6), 5), strict=True
    ):
        assert_close(one, other)
        assert one.dtype == torch.float32
    half = Gaussian.from_logvar(torch.zeros(5, 6).bfloat16(), torch.zeros(5, 6).bfloat16())
    assert minibatch_log_prob(half, torch.zeros(5, 6).bfloat16(), 5).dtype == torch.float32


def test_points_counts_and_priors_that_do_not_fit_are_refused():
    q, z = posteriors(4, 2), torch.zeros(4, 2)
    with pytest.raises(ShapeError, match="one point of each"):
        minibatch_log_prob(q, z[:3], 10)
    with pytest.raises(ShapeError, match="one point of each"):
        minibatch_log_prob(Gaussian.standard(2), z[0], 10)
    for bad in (3, 4.0, True):
        with pytest.raises(ValueError, match="at most n_inputs"):
            minibatch_log_prob(q, z, bad)
    with pytest.raises(ValueError, match="at least 2"):
        minibatch_log_prob(q[:1], z[:1], 10)
    with pytest.raises(NoClosedForm, match="independent"):
        minibatch_log_prob(Gaussian.from_covariance(torch.zeros(4, 2), torch.eye(2).expand(4, 2, 2)), z, 10)
    correlated = Gaussian.from_covariance(torch.zeros(2), torch.eye(2))
    for prior in (correlated, Gaussian.from_std(torch.zeros(4, 2), 1.0)):
        with pytest.raises(NoClosedForm, match="prior is"):
            total_correlation_terms(q, z, 10, prior=prior)
    assert minibatch_log_prob(q, z.double(), np.int64(10)).shape == (4,)
