"""Estimates for images under transforms, from the points under them. Truths: integrals by mpmath."""

import math

import mpmath
import pytest
import torch
from torch import distributions as D
from torch.testing import assert_close

from kullback import (
    Gaussian,
    ShapeError,
    cross_entropy_estimate,
    entropy_estimate,
    jensen_shannon_estimate,
    kl_divergence,
    kl_estimate,
)
from kullback.estimate.densities import as_density

TANH, SIGMOID, EXP = D.TanhTransform(), D.SigmoidTransform(), D.ExpTransform()


def normal(mean, std, d=1):
    return D.Independent(D.Normal(torch.full((d,), float(mean)), torch.full((d,), float(std))), 1)


def image(base, *chain):
    return D.TransformedDistribution(base, list(chain))


def log_normal(z, mean, std):
    return -(((z - mean) / std) ** 2) / 2 - mpmath.log(std) - mpmath.log(2 * mpmath.pi) / 2


def expected(function, mean, std):
    """The expectation of a function of a normal number."""
    with mpmath.workdps(40):
        knots = [mean + k * std for k in (-12, -4, 0, 4, 12)]
        return float(mpmath.quad(lambda x: mpmath.exp(log_normal(x, mean, std)) * function(mpmath.mpf(x)), knots))


def of_tanh(x):
    """The logarithm of the derivative of tanh."""
    return mpmath.log(4) - 2 * x - 2 * mpmath.log1p(mpmath.exp(-2 * x))


def of_sigmoid(x):
    return -mpmath.log1p(mpmath.exp(x)) - mpmath.log1p(mpmath.exp(-x))


def to_wider(x, low, high):
    """What a tanh to other bounds takes to tanh x, and the logarithm of the derivative of that."""
    share = (mpmath.tanh(x) - low) / (high - low)
    slope = mpmath.exp(of_tanh(x)) / (high - low) / (share * (1 - share))
    return mpmath.log(share / (1 - share)) / 2, mpmath.log(slope / 2)


def squashed_to(mean, std, low, high):
    """The log-density that a normal number under a tanh to these bounds has at tanh x, times the derivative there."""

    def log_density(x):
        z, log_slope = to_wider(x, low, high)
        return log_normal(z, mean, std) + log_slope

    return log_density


def close(estimate, truth, most=1e-3):
    error = float(estimate.standard_error)
    # Estimates in float32 are rounded.
    return abs(float(estimate.value) - truth) < 5 * error + 1e-6 * abs(truth) and error < most


P = image(normal(3, 1), TANH)

PAIRS = {
    "wider bounds": (P, image(normal(0.2, 1.5), TANH, D.AffineTransform(0.0, 2.0)), squashed_to(0.2, 1.5, -2, 2)),
    "one bound the same": (
        P,
        image(normal(0.2, 1.5), TANH, D.AffineTransform(-1.0, 2.0)),
        squashed_to(0.2, 1.5, -3, 1),
    ),
    "a sigmoid to wider bounds": (
        P,
        image(normal(0.4, 3.0), SIGMOID, D.AffineTransform(torch.tensor([-2.0]), 5.0)),
        squashed_to(0.2, 1.5, -2, 3),
    ),
    "a Gaussian": (P, normal(0.5, 1), lambda x: log_normal(mpmath.tanh(x), 0.5, 1) + of_tanh(x)),
    "another family": (
        P,
        D.Independent(D.Laplace(torch.zeros(1), torch.ones(1)), 1),
        lambda x: -abs(mpmath.tanh(x)) - mpmath.log(2) + of_tanh(x),
    ),
    "sigmoid against exp": (
        image(normal(3, 1), SIGMOID),
        image(normal(0, 1), EXP),
        lambda x: log_normal(-mpmath.log1p(mpmath.exp(-x)), 0, 1) - mpmath.log1p(mpmath.exp(x)),
    ),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_images_under_different_transforms(pair):
    p, q, log_q = PAIRS[pair]
    truth = expected(lambda x: log_normal(x, 3, 1) - log_q(x), 3, 1)
    estimate = kl_estimate(p, q, seed=0)
    assert close(estimate, truth)
    assert estimate.warnings == ()
    log_slope = of_tanh if p is P else of_sigmoid
    assert close(cross_entropy_estimate(p, q, seed=0), expected(lambda x: log_slope(x) - log_q(x), 3, 1))
    there, back = jensen_shannon_estimate(p, q, seed=0), jensen_shannon_estimate(q, p, seed=1)
    assert float(there.value) == pytest.approx(
        float(back.value), abs=5 * float(there.standard_error + back.standard_error)
    )
    half = expected(lambda x: mpmath.log(2) - mpmath.log1p(mpmath.exp(log_q(x) - log_normal(x, 3, 1))), 3, 1) / 2
    assert half < float(there.value) < half + math.log(2) / 2


def test_a_gaussian_against_an_image_is_infinite_where_it_leaves_the_support():
    for p, q in (
        (Gaussian.from_std([0.5], [1.0]), P),
        (Gaussian.from_std([0.5], [1.0]), image(normal(0, 1), TANH, D.AffineTransform(0.0, 0.5))),
        (image(normal(0.2, 1.5), TANH, D.AffineTransform(0.0, 2.0)), P),
        (image(normal(0.2, 1.5), EXP), P),
    ):
        estimate = kl_estimate(p, q, seed=0, n=1024)
        assert (float(estimate.value), float(estimate.standard_error)) == (math.inf, 0.0)
        assert "q is 0 at points drawn from p" in estimate.warnings[0]
    inside = Gaussian.from_std([0.0], [0.05])
    with mpmath.workdps(30):
        log_q = lambda y: log_normal(mpmath.atanh(y), 3, 1) - mpmath.log(1 - y**2)  # noqa: E731
        truth = expected(lambda y: log_normal(y, 0, 0.05) - log_q(y), 0, 0.05)
    assert close(kl_estimate(inside, P, seed=0), truth)


def test_no_point_is_rounded_to_a_bound_however_far_out_it_is():
    # The bound that both share is as far from both as it would be on a line: under tanh lies x, under the wider one
    # x + log(2) / 2, but for terms of exp(-2 x).
    p, q = image(normal(300, 30), TANH), image(normal(0.2, 1.5), TANH, D.AffineTransform(-1.0, 2.0))
    shifted = kl_divergence(normal(300 + math.log(2) / 2, 30), normal(0.2, 1.5))
    assert close(kl_estimate(p, q, seed=0), float(shifted), most=0.2)
    assert close(entropy_estimate(p, seed=0), float(normal(300, 30).entropy()) + math.log(4) - 600, most=0.2)
    same = image(normal(2, 1.5), TANH)
    want = -expected(lambda x: log_normal(x, 2, 1.5) - of_tanh(x), 3, 1)
    assert close(cross_entropy_estimate(P, same, seed=0), want)
    assert close(entropy_estimate(P, seed=0), 0.5 * math.log(2 * math.pi * math.e) + expected(of_tanh, 3, 1))


def test_bases_that_are_no_single_gaussians():
    laplace = D.Independent(D.Laplace(torch.zeros(1), torch.ones(1)), 1)
    same = kl_estimate(image(laplace, TANH), image(normal(0, 2), TANH), seed=0)
    assert float(same.value) == float(kl_estimate(laplace, normal(0, 2), seed=0).value)
    wider = image(normal(0, 2), TANH, D.AffineTransform(0.0, 2.0))
    log_q = squashed_to(0, 2, -2, 2)
    with mpmath.workdps(30):
        log_p = lambda x: -abs(x) - mpmath.log(2)  # noqa: E731
        truth = mpmath.quad(lambda x: mpmath.exp(log_p(x)) * (log_p(x) - log_q(x)), [-50, -5, 0, 5, 50])
        log_mix = lambda x: mpmath.log((mpmath.exp(log_normal(x, 3, 1)) + mpmath.exp(log_normal(x, -3, 1))) / 2)  # noqa: E731
        of_mixture = mpmath.quad(lambda x: mpmath.exp(log_mix(x)) * (log_mix(x) - log_q(x)), [-15, -6, -3, 0, 3, 6, 15])
    assert close(kl_estimate(image(laplace, TANH), wider, seed=0), float(truth), most=0.01)
    components = D.Independent(D.Normal(torch.tensor([[3.0], [-3.0]]), torch.ones(2, 1)), 1)
    mixture = D.MixtureSameFamily(D.Categorical(torch.ones(2)), components)
    assert close(kl_estimate(image(mixture, TANH), wider, seed=0), float(of_mixture))


def test_coordinates_add_up_and_batches_broadcast():
    one = kl_estimate(P, PAIRS["wider bounds"][1], seed=0)
    bounds = D.AffineTransform(torch.zeros(3), torch.full((3,), 2.0))
    several = kl_estimate(image(normal(3, 1, 3), TANH), image(normal(0.2, 1.5, 3), TANH, bounds), seed=0)
    assert float(several.value) == pytest.approx(3 * float(one.value), abs=2e-3)
    full = D.MultivariateNormal(torch.full((3,), 3.0), torch.eye(3))
    assert float(kl_estimate(image(full, TANH), image(normal(0.2, 1.5, 3), TANH, bounds), seed=0).value) == (
        pytest.approx(float(several.value), abs=2e-3)
    )
    batch = image(D.Independent(D.Normal(torch.full((4, 1), 3.0), 1.0), 1), TANH)
    found = kl_estimate(batch, PAIRS["wider bounds"][1], seed=0)
    assert_close(found.value, one.value.expand(4), rtol=0, atol=1e-3)
    bounds = D.AffineTransform(torch.zeros(4, 1), 2.0)
    assert kl_estimate(P, image(normal(0.2, 1.5), TANH, bounds), n=64).value.shape == (4,)
    with pytest.raises(ShapeError, match=r"p has event shape \(2,\), q has \(\)"):
        kl_estimate(
            image(normal(3, 1, 2), TANH), image(D.Normal(torch.zeros(2), 1.0), TANH, D.AffineTransform(0.0, 2.0))
        )


def test_gradients_flow_to_the_base_and_to_the_bounds():
    mean, bound = torch.tensor([3.0], requires_grad=True), torch.tensor(2.0, requires_grad=True)

    def truth(mean, bound):
        log_q = squashed_to(0.2, 1.5, -bound, bound)
        return expected(lambda x: log_normal(x, mean, 1) - log_q(x), mean, 1)

    p = image(D.Independent(D.Normal(mean, 1.0), 1), TANH)
    q = image(normal(0.2, 1.5), TANH, D.AffineTransform(0.0, bound))
    found = torch.autograd.grad(kl_estimate(p, q, seed=0).value, (mean, bound))
    step = 1e-3
    want = [
        (truth(3 + step, 2) - truth(3 - step, 2)) / (2 * step),
        (truth(3, 2 + step) - truth(3, 2 - step)) / (2 * step),
    ]
    assert [float(x) for x in found] == pytest.approx(want, rel=2e-3)


def test_samples_that_were_rounded_to_a_bound_say_so():
    actions = torch.cat([image(normal(1, 1), TANH).sample((200,)), torch.ones(3, 1)])
    with pytest.raises(ValueError, match="3 coordinates of points lie on a bound of q, to which its TanhTransform"):
        kl_estimate(actions, P, seed=0)


def test_a_parameter_that_is_nan_is_no_point_outside_the_support():
    broken = image(D.Independent(D.Normal(torch.tensor([math.nan]), torch.ones(1), validate_args=False), 1), TANH)
    for p, q in ((broken, P), (P, broken), (P, image(broken.base_dist, TANH, D.AffineTransform(0.0, 2.0)))):
        with pytest.raises(ValueError, match="NaN"):
            kl_estimate(p, q, seed=0, n=64)


def test_samples_outside_of_an_open_support_make_the_divergence_infinite():
    positive = image(normal(0, 1), EXP)
    rectified = torch.randn(300, 1, generator=torch.Generator().manual_seed(0)).relu()
    for q in (positive, D.Independent(D.LogNormal(torch.zeros(1), 1.0), 1), image(normal(0, 1), D.SoftplusTransform())):
        found = kl_estimate(rectified, q, seed=0, method="gaussian")
        assert found.value == math.inf
        assert any("q is 0 at samples of p" in warning for warning in found.warnings)


def test_maps_to_the_simplex_are_densities_of_its_interior():
    # The density of a logistic normal at points of the simplex, by its definition.
    q = D.LogisticNormal(torch.zeros(2), torch.ones(2))
    y = torch.distributions.Dirichlet(torch.full((3,), 2.0)).sample((50,)).double()
    assert_close(as_density(q, "q").log_prob(y), q.log_prob(y.float()).double(), rtol=1e-3, atol=1e-3)
    assert float(as_density(q, "q").log_prob(torch.tensor([[0.5, 0.2, 0.2]]))) == -math.inf


def test_images_of_other_densities_under_one_map_are_as_far_apart_as_these():
    def density(x, mean):
        return mpmath.gamma(3) / mpmath.gamma(2.5) / mpmath.sqrt(5 * mpmath.pi) * (1 + (x - mean) ** 2 / 5) ** -3

    def expectation(function):
        return float(mpmath.quad(lambda x: density(x, 0) * function(x), [-mpmath.inf, -3, 0, 3, mpmath.inf]))

    shift = mpmath.mpf("0.7")
    divergence = expectation(lambda x: mpmath.log(density(x, 0) / density(x, shift)))
    # The density of the image of x is that of x less the logarithm of the slope of tanh.
    cross_entropy = expectation(lambda x: -mpmath.log(density(x, shift)) - 2 * mpmath.log(mpmath.cosh(x)))
    p, q = (image(D.StudentT(5.0, torch.tensor(mean)), TANH) for mean in (0.0, 0.7))
    for found, want in (
        (kl_estimate(p, q, seed=0), divergence),
        (cross_entropy_estimate(p, q, seed=0), cross_entropy),
    ):
        assert abs(float(found.value) - want) < 4 * float(found.standard_error) < 0.05
