"""Mixtures: densities against direct sums, foreign mixtures against their own libraries, bad input."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import distributions
from torch.testing import assert_close
from torch.utils import _pytree as pytree
from truth.kinds import KINDS, D, build

import kullback
from kullback import Gaussian, Mixture, NoClosedForm, ShapeError
from kullback.interop.registry import convert


def direct(mixture, x):
    """The sum over components as it stands in books, in float64, from differences."""
    g = mixture.components.to(torch.float64)
    each = torch.stack([torch.as_tensor(g[..., k].log_prob(x.double())) for k in range(mixture.n_components)], -1)
    return torch.logsumexp(mixture.log_weights.double() + each, -1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_log_densities_are_those_of_a_direct_sum(kind, dtype):
    g = torch.Generator().manual_seed(0)
    components = build(kind, torch.randn(30, D, generator=g).to(dtype), torch.randn(30, D, D, generator=g).to(dtype))
    mixture = Mixture(torch.rand(30, generator=g).to(dtype) + 0.1, components)
    x = torch.randn(700, D, generator=g).to(dtype)
    got = mixture.log_prob(x)
    assert got.dtype == dtype
    assert got.shape == (700,)
    assert_close(got.double(), direct(mixture, x), rtol=8 * torch.finfo(dtype).eps, atol=1e-10)
    assert_close(mixture.log_prob(x[0]).double(), direct(mixture, x[0]), rtol=2e-6, atol=1e-6)
    assert mixture.log_prob(x.reshape(7, 100, D)).shape == (7, 100)


@pytest.mark.parametrize("std", [1e-1, 1e-4, 1e-7])
def test_narrow_components_far_from_the_centre_keep_their_digits(std):
    g = torch.Generator().manual_seed(0)
    means = torch.randn(500, 8, generator=g, dtype=torch.float64) * 100
    mixture = Mixture.aggregate(Gaussian.from_std(means, torch.full_like(means, std)))
    x = means[:300] + std * torch.randn(300, 8, generator=g, dtype=torch.float64)
    assert_close(mixture.log_prob(x), direct(mixture, x), rtol=1e-12, atol=1e-10)


def test_far_points_keep_their_log_density_and_infinite_or_nan_points_say_so():
    mixture = Mixture([0.0, 1.0], Gaussian.from_std([[0.0], [1.0]], [[1.0], [1.0]]))
    far = torch.tensor([[1e6], [math.inf], [math.nan]], dtype=torch.float64)
    got = torch.as_tensor(mixture.log_prob(far))
    assert_close(got[0], Gaussian.from_std([1.0], [1.0]).log_prob(far[0]))
    assert got[1] == -math.inf
    assert got[2].isnan()


def test_gradients_are_those_of_the_direct_sum():
    g = torch.Generator().manual_seed(0)
    logits, mean, x = (torch.randn(s, generator=g, dtype=torch.float64) for s in ((5,), (5, 3), (20, 3)))
    leaves = [v.requires_grad_() for v in (logits, mean, mean.detach().abs() + 0.5, x)]

    def density(logits, mean, std, x):
        return Mixture.from_logits(logits, Gaussian.from_std(mean, std)).log_prob(x).sum()

    assert torch.autograd.gradcheck(density, leaves)
    with torch.no_grad():
        assert_close(density(*leaves), density(*(v.detach().requires_grad_() for v in leaves)))


def test_batches_of_mixtures_are_mixtures_one_by_one():
    g = torch.Generator().manual_seed(0)
    mean, weights = torch.randn(2, 3, 4, 5, generator=g), torch.rand(2, 3, 4, generator=g)
    mixture = Mixture(weights, Gaussian.from_std(mean, torch.ones(5)))
    assert (mixture.batch_shape, mixture.event_shape, mixture.n_components) == ((2, 3), (5,), 4)
    x = torch.randn(7, 2, 3, 5, generator=g)
    got = mixture.log_prob(x)
    for i in range(2):
        for j in range(3):
            one = Mixture(weights[i, j], Gaussian.from_std(mean[i, j], torch.ones(5)))
            assert_close(got[:, i, j], one.log_prob(x[:, i, j]), rtol=1e-5, atol=1e-5)
    shared = Mixture(weights[0, 0], mixture.components)
    assert shared.sample(7).shape == (7, 2, 3, 5)
    assert_close(shared.log_prob(x)[:, 1, 2], Mixture(weights[0, 0], mixture.components[1, 2]).log_prob(x[:, 1, 2]))
    many = Mixture(weights, mixture.components[0, 0])
    assert many.batch_shape == (2, 3)
    assert_close(many.log_prob(x)[:, 1, 2], Mixture(weights[1, 2], mixture.components[0, 0]).log_prob(x[:, 1, 2]))
    samples = mixture.sample(20_000, generator=g)
    assert samples.shape == (20_000, 2, 3, 5)
    # Five standard errors of components that spread by about 1 around points that do.
    assert_close(samples.mean(0), mixture.mean, rtol=0, atol=5 * float(samples.std(0).max()) / 20_000**0.5)


@pytest.mark.parametrize("given", ["full", "tied", "diag", "spherical"])
def test_mixtures_of_scikit_learn_keep_their_log_densities(given):
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.standard_normal((200, 3)), rng.standard_normal((200, 3)) @ np.diag([1, 2, 3]) + 4])
    fitted = GaussianMixture(3, covariance_type=given, random_state=0).fit(x)
    mixture = convert(fitted, "p")
    got = mixture.log_prob(x)
    assert isinstance(got, np.ndarray)
    np.testing.assert_allclose(got, fitted.score_samples(x), rtol=1e-10)
    with pytest.raises(ValueError, match="call fit"):
        convert(GaussianMixture(2), "p")


def test_mixtures_of_torch_keep_their_log_densities():
    component = distributions.Independent(distributions.Normal(torch.randn(4, 3), torch.ones(4, 3)), 1)
    theirs = distributions.MixtureSameFamily(distributions.Categorical(logits=torch.randn(4)), component)
    x = torch.randn(10, 3)
    assert_close(convert(theirs, "p").log_prob(x), theirs.log_prob(x), rtol=1e-5, atol=1e-5)


def test_mixtures_remember_the_kind_of_array_and_are_pytrees():
    mixture = Mixture([1, 3], Gaussian.from_std([[0.0], [1.0]], 1.0))
    assert isinstance(mixture.log_prob([[0.0]]), np.ndarray)
    assert isinstance(mixture.sample(3), np.ndarray)
    assert isinstance(Mixture.aggregate(mixture.components).log_prob([[0.0]]), np.ndarray)
    assert isinstance(kullback.kl_estimate(mixture, Gaussian.standard(1), n=16).value, np.ndarray)
    assert_close(mixture.weights, torch.tensor([0.25, 0.75], dtype=torch.float64), rtol=1e-7, atol=0)
    assert mixture.to(torch.float32).components.dtype == torch.float32
    leaves, spec = pytree.tree_flatten(mixture)
    assert repr(pytree.tree_unflatten(leaves, spec)) == repr(mixture)
    listed = Mixture([1.0, 1.0], [Gaussian.standard(2), Gaussian.from_std([1.0, 1.0], [1.0, 2.0])])
    assert (listed.n_components, listed.event_shape) == (2, (2,))


def test_weights_components_and_points_that_do_not_fit_are_refused():
    pair = Gaussian.from_std([[0.0], [1.0]], 1.0)
    with pytest.raises(ValueError, match="from_logits"):
        Mixture([-0.5, 0.5], pair)
    with pytest.raises(ValueError, match="from_logits"):
        Mixture([0.0, 0.0], pair)
    with pytest.raises(ShapeError, match="3 weights"):
        Mixture([1.0, 1.0, 1.0], pair)
    with pytest.raises(ValueError, match="finite"):
        Mixture([np.inf, 1.0], pair)
    with pytest.raises(ShapeError, match="do not broadcast"):
        Mixture(np.ones((5, 2)), Gaussian.from_std(np.zeros((3, 2, 1)), 1.0))
    with pytest.raises(ShapeError, match="a dimension that counts"):
        Mixture(1.0, pair)
    with pytest.raises(ShapeError, match="aggregate takes"):
        Mixture.aggregate(Gaussian.standard(3))
    mixture = Mixture([1.0, 1.0], pair)
    with pytest.raises(ShapeError, match="log_prob got x"):
        mixture.log_prob([[0.0, 1.0]])
    for function in (kullback.kl_divergence, kullback.jeffreys):
        with pytest.raises(NoClosedForm, match="kl_estimate"):
            function(mixture, pair)
    with pytest.raises(NoClosedForm, match="entropy_estimate"):
        kullback.entropy(mixture)


@pytest.mark.parametrize("kind", ["logvar", "scale_tril"])
@pytest.mark.parametrize("distance", [0.0, 1e5])
def test_derivatives_in_pieces_are_those_of_the_whole(monkeypatch, kind, distance):
    # Far from each other, components and points leave matrix products no digits.
    g = torch.Generator().manual_seed(0)
    shapes = {"logvar": (7, 3), "scale_tril": (7, 3, 3)}
    start = [torch.randn(shape, generator=g, dtype=torch.float64) for shape in ((7,), (7, 3), shapes[kind], (50, 3))]
    start[1][0] += distance
    start[3][10:] += distance

    def slopes():
        leaves = [x.clone().requires_grad_() for x in start]
        logits, mean, scale, x = leaves
        if kind == "scale_tril":
            scale = scale.tril(-1) + scale.diagonal(dim1=-2, dim2=-1).exp().diag_embed()
        components = getattr(Gaussian, f"from_{kind}")(mean, scale)
        value = Mixture.from_logits(logits, components).log_prob(x.reshape(5, 10, 3))
        assert value.shape == (5, 10)
        first = torch.autograd.grad(value.sin().sum(), leaves, create_graph=True)
        return value, first, torch.autograd.grad(first[1].sin().sum(), leaves)

    whole = slopes()
    monkeypatch.setattr("kullback.gaussians.mixture_density._KEPT", 7 * 3 * 4)
    torch.testing.assert_close(slopes(), whole, rtol=1e-9, atol=1e-10)
