"""Bounds of mixtures hold, against quadrature and estimates with their errors, and meet where there is one answer."""

import math

import numpy as np
import pytest
import torch
from torch import distributions
from torch.testing import assert_close
from truth.mixtures import PAIRS, line, quadrature, random_mixture

import kullback
from kullback import (
    Gaussian,
    Mixture,
    ShapeError,
    cross_entropy_bounds,
    entropy_bounds,
    jensen_shannon_bounds,
    jensen_shannon_estimate,
    kl_bounds,
    kl_divergence,
    kl_estimate,
)


@pytest.mark.parametrize("name", PAIRS)
def test_bounds_hold_the_divergence_on_the_line(name):
    p, q = PAIRS[name]
    truth, found = quadrature(p, q), kl_bounds(p, q)
    assert torch.as_tensor(found.lower) <= truth + 1e-9
    assert truth <= torch.as_tensor(found.upper) + 1e-9


@pytest.mark.parametrize("seed", range(24))
def test_bounds_of_the_divergence_hold_its_estimate(seed):
    g = torch.Generator().manual_seed(seed)
    d, k, m = (int(torch.randint(1, n, (1,), generator=g)) for n in (17, 25, 25))
    spread = 4.0 * float(torch.rand(1, generator=g))
    kinds = [("std", "covariance")[seed // 2 % 2], ("std", "covariance")[seed % 2]]
    p, q = (random_mixture(g, size, d, spread, kind) for size, kind in zip((k, m), kinds, strict=True))
    found, estimate = kl_bounds(p, q), kl_estimate(p, q, n=2**14, seed=0)
    reach = 4.0 * estimate.standard_error
    assert 0.0 <= found.lower <= found.upper
    assert found.lower <= estimate.value + reach
    assert estimate.value - reach <= found.upper


def test_bounds_meet_where_there_is_a_closed_form():
    p, q = Gaussian.from_std([0.0, 1.0], [1.0, 2.0]), Gaussian.standard(2)
    found = kl_bounds(p, q)
    assert isinstance(found.lower, np.ndarray)
    assert found.lower == found.upper
    np.testing.assert_allclose(found.lower, kl_divergence(p, q), rtol=1e-15)
    mixture = random_mixture(torch.Generator().manual_seed(0), 6, 3, 2.0)
    itself = kl_bounds(mixture, mixture)
    assert itself.lower == 0.0
    assert itself.upper < 1e-12
    # Components apart from each other and narrow: the entropy of the weights is all that is not a closed form.
    apart = Mixture([0.3, 0.7], Gaussian.from_std([[-1e3], [1e3]], 1.0))
    found = kl_bounds(apart, Gaussian.from_std([0.0], 1e3))
    np.testing.assert_allclose(found.upper, found.lower, rtol=1e-10)


def test_components_of_no_weight_change_nothing_and_nan_stays_nan():
    mixture = Mixture([0.0, 1.0], Gaussian.from_std([[0.0], [2.0]], [[1.0], [1.0]]))
    normal = Gaussian.from_std([0.0], [1.0])
    for p, q in ((mixture, normal), (normal, mixture)):
        assert 1.0 < kl_bounds(p, q).lower <= 2.0
        np.testing.assert_allclose(kl_bounds(p, q).upper, 2.0, rtol=1e-12)
        assert abs(kl_estimate(p, q, seed=0).value - 2.0) < 1e-3
    assert kl_bounds(mixture, mixture).upper < 1e-12
    here = Mixture([0.0, 1.0], Gaussian.from_std([[50.0], [0.0]], [[1.0], [0.01]]))
    box = distributions.Independent(distributions.Uniform(-torch.ones(1), torch.ones(1), validate_args=False), 1)
    assert (
        abs(kl_estimate(here, box, seed=0).value - (math.log(2) - float(kullback.entropy(here.components[1])))) < 1e-3
    )
    broken = Mixture([0.5, 0.5], Gaussian.from_std([[math.nan], [0.0]], 1.0, validate=False))
    for p, q in ((broken, normal), (normal, broken)):
        assert np.isnan(kl_bounds(p, q)).all()


@pytest.mark.parametrize("pairs_at_once", [1, 4, 6])
@pytest.mark.parametrize("function", [kl_bounds, cross_entropy_bounds, jensen_shannon_bounds, entropy_bounds])
@pytest.mark.parametrize("kind", ["std", "covariance"])
def test_bounds_of_batches_are_those_one_by_one(monkeypatch, function, pairs_at_once, kind):
    g = torch.Generator().manual_seed(0)
    mean, weights = torch.randn(2, 3, 4, 5, generator=g), torch.rand(2, 3, 4, generator=g)
    scale = {"std": torch.ones(5), "covariance": torch.eye(5) + 0.5}[kind]
    p = Mixture(weights, getattr(Gaussian, f"from_{kind}")(mean, scale))
    q = Gaussian.from_logvar(torch.randn(3, 5, generator=g), torch.zeros(3, 5))
    both = (p,) if function is entropy_bounds else (p, q)
    elements = {"std": 5, "covariance": 25}[kind] * (8 if len(both) == 1 else 5) ** 2
    monkeypatch.setattr("kullback.estimate.mixture_arrays._TILE_ELEMENTS", pairs_at_once * elements)
    found = function(*both)
    assert found.lower.shape == found.upper.shape == (2, 3)
    assert found.lower.dtype == torch.float32
    monkeypatch.undo()
    for i in range(2):
        for j in range(3):
            one = function(Mixture(weights[i, j], p.components[i, j]), *[x[j] for x in both[1:]])
            assert_close((found.lower[i, j], found.upper[i, j]), tuple(one), rtol=1e-6, atol=1e-7)


def test_a_broken_pair_of_a_batch_leaves_the_others_alone():
    mean = torch.tensor([[math.nan], [1.0], [1e200]], dtype=torch.float64)
    p = Gaussian.from_std(mean, torch.ones(3, 1, dtype=torch.float64), validate=False)
    q = line([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0])
    found, alone = kl_bounds(p, q), kl_bounds(p[1], q)
    assert found.lower[0].isnan()
    assert found.upper[0].isnan()
    assert_close((found.lower[1], found.upper[1]), tuple(alone), rtol=1e-12, atol=0.0)
    assert found.upper[2] == math.inf


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("kind", ["std", "covariance"])
def test_gradients_are_those_of_small_steps(which, kind):
    g = torch.Generator().manual_seed(3)
    p, q = (random_mixture(g, k, 3, 1.5, kind) for k in (4, 3))
    leaves = [x.detach().clone().requires_grad_() for m in (p, q) for x in (m.log_weights, m.components.mean)]
    scales = [m.components.scale for m in (p, q)]

    def bound(a, b, c, d):
        mixtures = (Mixture.from_logits(w, Gaussian(m, s)) for w, m, s in zip((a, c), (b, d), scales, strict=True))
        return kl_bounds(*mixtures)[which]

    assert bound(*leaves) > 0
    found = torch.autograd.grad(bound(*leaves), leaves)
    for i, leaf in enumerate(leaves):
        step = torch.zeros_like(leaf)
        for at in range(leaf.numel()):
            step.view(-1)[at] = 1e-5
            above, below = (
                bound(*(x + sign * step if j == i else x for j, x in enumerate(leaves))).detach() for sign in (1, -1)
            )
            step.zero_()
            # The weights of the convexity bound, held fixed in its derivative, are at their best to about 1e-4.
            assert abs((above - below) / 2e-5 - found[i].view(-1)[at]) < 2e-4


def test_what_has_no_bounds_is_refused_with_what_to_call():
    p, q = PAIRS["near"]
    none = Gaussian.from_std(torch.zeros(0, 1), torch.ones(0, 1))
    with pytest.raises(ShapeError, match="empty batch"):
        kl_bounds(none, q)
    with pytest.raises(ShapeError, match="at least one component"):
        kullback.mutual_information_estimate(none)
    with pytest.raises(ShapeError, match="event shape"):
        kl_bounds(p, Gaussian.standard(2))
    with pytest.raises(ShapeError, match="do not broadcast"):
        kl_bounds(Gaussian.from_std(torch.zeros(2, 1), 1.0), Gaussian.from_std(torch.zeros(3, 1), 1.0))
    with pytest.raises(TypeError, match="kl_estimate takes any"):
        kl_bounds(p, distributions.Laplace(0.0, 1.0))
    with pytest.raises(kullback.NoClosedForm, match=r"kl_bounds\(p, q\)"):
        kl_divergence(p, q)


def test_bounds_of_images_under_the_same_transforms_are_those_of_the_bases():
    def squashed(mean):
        base = distributions.Normal(torch.tensor(mean, dtype=torch.float64), 0.5)
        return distributions.Independent(
            distributions.TransformedDistribution(base, [distributions.TanhTransform()]), 1
        )

    p, q = squashed([[0.0, 1.0], [0.0, 0.0]]), squashed([[0.3, 1.0], [0.0, 2.0]])
    bounds = kl_bounds(p, q)
    # Half of the square of the distance of the means, in standard deviations.
    assert_close(bounds.lower, torch.tensor([0.18, 8.0], dtype=torch.float64))
    assert_close(bounds.upper, bounds.lower)
    between = jensen_shannon_bounds(p, q)
    estimate = jensen_shannon_estimate(p, q, seed=0)
    margin = 5 * estimate.standard_error
    assert (between.lower - margin <= estimate.value).all()
    assert (estimate.value <= between.upper + margin).all()
    with pytest.raises(TypeError, match="kl_estimate takes any density"):
        kl_bounds(p, Gaussian.standard(2))
