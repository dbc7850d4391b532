"""Approximations by name: exact where theory says so, otherwise the sums that they are."""

import math

import numpy as np
import pytest
import torch
from truth.mixtures import random_mixture

from kullback import Gaussian, Mixture, ShapeError, approximations, kl_divergence, kl_estimate

NAMES = ("unscented", "variational", "matched", "product", "moment_matched")


def pair(seed=0, kinds=("std", "std"), d=3):
    g = torch.Generator().manual_seed(seed)
    return random_mixture(g, 4, d, 1.0, kinds[0]), random_mixture(g, 3, d, 1.0, kinds[1])


@pytest.mark.parametrize("name", ["unscented", "variational", "matched", "moment_matched"])
@pytest.mark.parametrize("kind", ["std", "covariance"])
def test_of_gaussians_they_are_the_divergence(name, kind):
    p, q = (m.components[1] for m in pair(kinds=(kind, kind)))
    np.testing.assert_allclose(getattr(approximations, name)(p, q), kl_divergence(p, q), rtol=1e-10)


def density(g, x):
    """By the definition, at one point."""
    inverse = np.linalg.inv(g.scale.covariance().numpy() if hasattr(g.scale, "covariance") else np.diag(g.scale.value))
    delta = x - g.mean.numpy()
    return math.exp(-0.5 * delta @ inverse @ delta) * math.sqrt(np.linalg.det(inverse) / (2 * math.pi) ** len(x))


def matrices(mixture):
    scale = mixture.components.scale
    return [np.diag(v.numpy() ** 2) for v in scale.value]


def test_they_are_the_sums_of_their_definitions():
    p, q = pair()
    w, v = p.weights.numpy(), q.weights.numpy()
    f, g = [p.components[i] for i in range(4)], [q.components[i] for i in range(3)]
    within = np.array([[float(kl_divergence(a, b)) for b in f] for a in f])
    between = np.array([[float(kl_divergence(a, b)) for b in g] for a in f])
    variational = sum(
        w[a] * math.log((w * np.exp(-within[a])).sum() / (v * np.exp(-between[a])).sum()) for a in range(4)
    )
    np.testing.assert_allclose(approximations.variational(p, q), variational, rtol=1e-12)
    matched = sum(w[a] * min(between[a, b] + math.log(w[a] / v[b]) for b in range(3)) for a in range(4))
    np.testing.assert_allclose(approximations.matched(p, q), matched, rtol=1e-12)

    def overlap(one, other):
        covariance = np.diag(one.scale.value.numpy() ** 2 + other.scale.value.numpy() ** 2)
        delta = one.mean.numpy() - other.mean.numpy()
        size = math.sqrt(np.linalg.det(2 * math.pi * covariance))
        return math.exp(-0.5 * delta @ np.linalg.inv(covariance) @ delta) / size

    product = sum(
        w[a]
        * math.log(
            sum(w[k] * overlap(f[a], f[k]) for k in range(4)) / sum(v[b] * overlap(f[a], g[b]) for b in range(3))
        )
        for a in range(4)
    )
    np.testing.assert_allclose(approximations.product(p, q), product, rtol=1e-12)
    unscented = 0.0
    for a in range(4):
        for sign in (1, -1):
            for axis in range(3):
                x = f[a].mean.clone()
                x[axis] += sign * math.sqrt(3) * f[a].scale.value[axis]
                unscented += w[a] / 6 * float(p.log_prob(x) - q.log_prob(x))
    np.testing.assert_allclose(approximations.unscented(p, q), unscented, rtol=1e-12)

    def moments(mixture):
        weights, mean = mixture.weights.numpy(), mixture.components.mean.numpy()
        centre = weights @ mean
        spread = sum(
            c * (m + np.outer(x - centre, x - centre)) for c, m, x in zip(weights, matrices(mixture), mean, strict=True)
        )
        return Gaussian.from_covariance(centre, spread)

    np.testing.assert_allclose(approximations.moment_matched(p, q), kl_divergence(moments(p), moments(q)), rtol=1e-10)


def test_moments_are_a_lower_bound_against_one_gaussian():
    for seed in range(10):
        p, q = pair(seed)
        one = q.components[0]
        found = kl_estimate(p, one, seed=0)
        assert approximations.moment_matched(p, one) <= found.value + 4 * found.standard_error


@pytest.mark.parametrize("name", NAMES)
def test_they_take_batches_images_and_arrays_and_are_differentiable(name):
    function = getattr(approximations, name)
    g = torch.Generator().manual_seed(1)
    mean, weights = torch.randn(2, 3, 4, generator=g), torch.rand(2, 3, generator=g)
    p, q = Mixture(weights, Gaussian.from_std(mean, torch.ones(4))), Gaussian.from_std(torch.zeros(2, 4), 2.0)
    found = function(p, q)
    assert found.shape == (2,)
    assert found.dtype == torch.float32
    one = Mixture([0.5, 0.5], Gaussian.from_std([[0.0], [1.0]], 1.0))
    assert isinstance(function(one, one), np.ndarray)
    leaf = torch.randn(2, 2, generator=g, dtype=torch.float64, requires_grad=True)

    def value(x):
        return function(Mixture([0.3, 0.7], Gaussian.from_std(x, 0.7)), Gaussian.from_std(torch.zeros(2).double(), 1.0))

    assert torch.autograd.gradcheck(value, leaf)
    with pytest.raises(ShapeError, match="event shape"):
        function(one, Gaussian.standard(2))
    mixed = pair(3, ("std", "covariance"))
    assert np.isfinite(float(function(*mixed)))
    images = Mixture(torch.ones(2), Gaussian.from_std(torch.randn(2, 2, 3, generator=g), 1.0, event_dims=2))
    flat = Mixture(torch.ones(2), Gaussian.from_std(images.components.mean.reshape(2, 6), 1.0))
    torch.testing.assert_close(function(images, Gaussian.standard((2, 3))), function(flat, Gaussian.standard(6)))


@pytest.mark.parametrize("pairs_at_once", [1, 2, 5])
@pytest.mark.parametrize("kinds", [("std", "std"), ("covariance", "std")])
@pytest.mark.parametrize("name", NAMES)
def test_those_of_batches_are_those_one_by_one(monkeypatch, name, kinds, pairs_at_once):
    pairs = [pair(seed, kinds) for seed in range(5)]
    batches = [
        Mixture(torch.stack([m.weights for m in side]), Gaussian.stack([m.components for m in side]))
        for side in zip(*pairs, strict=True)
    ]
    elements = 7**2 * (3 if kinds == ("std", "std") else 9)
    monkeypatch.setattr("kullback.estimate.mixture_arrays._TILE_ELEMENTS", pairs_at_once * elements)
    found = getattr(approximations, name)(*batches)
    monkeypatch.undo()
    alone = torch.stack([getattr(approximations, name)(*each) for each in pairs])
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=1e-12)


def test_events_of_no_coordinates_are_no_distance():
    p, q = (Mixture(w, Gaussian.from_std(torch.zeros(2, 0), torch.ones(2, 0))) for w in ([0.5, 0.5], [0.3, 0.7]))
    assert float(approximations.unscented(p, q)) == pytest.approx(0.0, abs=1e-7)
