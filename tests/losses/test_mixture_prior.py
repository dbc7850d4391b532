"""The divergence from a mixture prior as a loss: unbiased, without noise where there is a closed form."""

import math

import pytest
import torch
from torch import distributions
from torch.testing import assert_close
from truth.mixtures import PAIRS, quadrature, random_mixture

from kullback import Gaussian, Mixture, NoClosedForm, ShapeError, kl_divergence, kl_estimate
from kullback.losses import mixture_prior_kl


def draws(q, prior, repetitions, **named):
    return torch.stack([mixture_prior_kl(q, prior, **named) for _ in range(repetitions)])


@pytest.mark.parametrize("name", ["near", "apart", "three of odd weights"])
@pytest.mark.parametrize("n", [2, 16])
def test_it_is_unbiased_on_the_line(name, n):
    prior = PAIRS[name][0]
    for mean, std in ((0.0, 1.0), (2.0, 0.1), (-1.0, 3.0)):
        q = Gaussian.from_std(torch.tensor([mean], dtype=torch.float64), std)
        found = draws(q, prior, 400, n=n)
        assert abs(found.mean() - quadrature(q, prior)) <= 5 * found.std() / 20 + 1e-9


@pytest.mark.parametrize("kinds", [("std", "std"), ("covariance", "std"), ("std", "covariance")])
def test_value_and_gradients_are_unbiased_for_every_kind_of_scale(kinds):
    g = torch.Generator().manual_seed(0)
    posteriors, prior = (random_mixture(g, k, 3, 1.5, kind) for k, kind in zip((4, 5), kinds, strict=True))
    q = posteriors.components
    leaves = [q.mean.clone(), prior.log_weights.clone(), prior.components.mean.clone()]
    leaves = [x.requires_grad_() for x in leaves]

    def value_and_gradients(function):
        of_leaves = Mixture.from_logits(leaves[1], Gaussian(leaves[2], prior.components.scale))
        value = function(Gaussian(leaves[0], q.scale), of_leaves)
        return torch.cat([value.detach(), *[x.flatten() for x in torch.autograd.grad(value.sum(), leaves)]])

    truth = value_and_gradients(lambda p, q: kl_estimate(p, q, n=2**17, seed=0).value)
    found = torch.stack([value_and_gradients(mixture_prior_kl) for _ in range(300)])
    off = (found.mean(0) - truth).abs()
    assert (off <= 5 * found.std(0) / math.sqrt(300) + 2e-3).all()


def test_of_one_gaussian_it_is_the_divergence_without_noise():
    q, prior = Gaussian.from_std(torch.randn(5, 3), torch.rand(5, 3) + 0.5), Gaussian.from_std(torch.ones(3), 2.0)
    assert_close(mixture_prior_kl(q, prior), kl_divergence(q, prior))
    unused = Mixture([0.0, 1.0], Gaussian.stack([Gaussian.from_std(torch.zeros(3), 1.0), prior])).to(torch.float32)
    assert_close(mixture_prior_kl(q, unused), kl_divergence(q, prior))
    # So far apart that the other component contributes nothing.
    apart = Mixture(torch.ones(2), Gaussian.from_std(torch.tensor([[0.0], [1e3]]), torch.ones(2, 1)))
    near = Gaussian.from_std(torch.tensor([[1.0], [999.0]]), torch.ones(2, 1), validate=True)
    assert_close(mixture_prior_kl(near, apart), torch.full((2,), 0.5 + math.log(2)), rtol=1e-5, atol=0.0)


def test_gradients_are_finite_where_a_component_has_no_weight_or_is_far():
    mean = torch.tensor([[0.0], [300.0]], requires_grad=True)
    logits = torch.tensor([0.0, 0.0, -math.inf], requires_grad=True)
    centres = torch.tensor([[0.0], [1e4], [2.0]], requires_grad=True)
    prior = Mixture.from_logits(logits, Gaussian.from_std(centres, torch.ones(3, 1)))
    mixture_prior_kl(Gaussian.from_std(mean, torch.ones(2, 1)), prior).sum().backward()
    for x in (mean, logits, centres):
        assert x.grad.isfinite().all()
    assert_close(mean.grad, mean.detach(), rtol=1e-5, atol=1e-6)


def test_it_takes_batches_events_and_objects_of_torch():
    images = Gaussian.from_std(torch.randn(5, 2, 3), 1.0, event_dims=2)
    parts = torch.randn(4, 2, 3)
    prior = Mixture(torch.ones(4), Gaussian.from_std(parts, 1.0, event_dims=2))
    flat = Mixture(torch.ones(4), Gaussian.from_std(parts.reshape(4, 6), 1.0))
    one, other = (torch.Generator().manual_seed(0) for _ in range(2))
    found = mixture_prior_kl(images, prior, generator=one)
    assert_close(found, mixture_prior_kl(Gaussian.from_std(images.mean.reshape(5, 6), 1.0), flat, generator=other))
    each = Mixture(torch.ones(2, 4), Gaussian.from_std(torch.randn(2, 4, 3), 1.0))
    assert mixture_prior_kl(Gaussian.from_std(torch.zeros(5, 1, 3), 1.0), each).shape == (5, 2)
    half = Gaussian.from_std(torch.zeros(3, 6, dtype=torch.bfloat16), torch.ones(6, dtype=torch.bfloat16))
    assert mixture_prior_kl(half, flat).dtype == torch.float32
    assert mixture_prior_kl(Gaussian.standard(6), flat).shape == ()
    theirs = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(4)), distributions.Independent(distributions.Normal(parts, 1.0), 2)
    )
    again = distributions.Independent(distributions.Normal(images.mean, torch.ones(5, 2, 3)), 2)
    assert_close(mixture_prior_kl(again, theirs, generator=one.manual_seed(0)), found)


def test_what_it_cannot_take_is_refused():
    q, prior = Gaussian.standard(2), Mixture(torch.ones(3), Gaussian.from_std(torch.randn(3, 2), 1.0))
    for n in (0, 3):
        with pytest.raises(ValueError, match="even number"):
            mixture_prior_kl(q, prior, n=n)
    with pytest.raises(TypeError, match="whole number"):
        mixture_prior_kl(q, prior, n=2.5)
    with pytest.raises(ShapeError, match=r"q has event shape \(3,\), prior has \(2,\)  \(q.mean"):
        mixture_prior_kl(Gaussian.standard(3), prior)
    batch = Mixture(torch.ones(3, 2), Gaussian.from_std(torch.zeros(3, 2, 2), 1.0))
    with pytest.raises(ShapeError, match=r"do not broadcast: q has .* prior has"):
        mixture_prior_kl(Gaussian.from_std(torch.zeros(2, 2), 1.0), batch)
    with pytest.raises(NoClosedForm, match=r"prior is a .* Laplace.*kl_estimate\(q, prior, n=64\)"):
        mixture_prior_kl(q, distributions.Laplace(0.0, 1.0))
    with pytest.raises(TypeError, match=r"prior must be a Gaussian.*from_std"):
        mixture_prior_kl(q, torch.zeros(3, 2))
    with pytest.raises(TypeError, match="q must be a Gaussian"):
        mixture_prior_kl(torch.zeros(3, 2), prior)
    with pytest.raises(NoClosedForm, match="q is a Mixture"):
        mixture_prior_kl(prior, prior)
