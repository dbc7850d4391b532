"""How the ``sample`` of an object is called, and what it has to return."""

import math

import numpy as np
import pytest
import torch

from kullback import Gaussian, ShapeError, entropy_estimate, kl_estimate
from kullback.estimate.draws import draw_points


def density(sample):
    """A standard normal in the plane with this ``sample``."""

    class Density:
        def log_prob(self, z):
            return (-(z**2) / 2 - math.log(2 * math.pi) / 2).sum(-1)

    Density.sample = sample
    return Density()


def points(n):
    return torch.randn(n, 2)


@pytest.mark.parametrize(
    "sample",
    [
        lambda self, n: points(n),
        lambda self, n=1: (points(n), torch.zeros(n)),
        lambda self, num_samples, context=None: points(num_samples),
        lambda self, n: points(n).numpy(),
        lambda self, *, size: points(size),
        lambda self, *args: points(*args),
        lambda self, sample_shape=(): points(*sample_shape),
        lambda self, sample_shape=(), seed=None: points(torch.Size(sample_shape).numel()),
        lambda self, *, shape: points(*shape),
        lambda self: points(1)[0],
        lambda self: (points(1)[0], torch.zeros(())),
        lambda self, **named: points(1)[0].numpy(),
    ],
)
def test_every_way_of_drawing_is_understood(sample):
    q = Gaussian.from_std(torch.tensor([1.0, 0.0]), torch.ones(2))
    found = kl_estimate(density(sample), q, seed=0, n=4096)
    assert found.n == 4096
    # Half of the square of the distance of the means.
    assert abs(float(found.value) - 0.5) < 5 * float(found.standard_error) < 0.1


@pytest.mark.parametrize(
    ("sample", "error", "says"),
    [
        (lambda self, key: points(1), TypeError, r"sample of p takes 'key' first.*Wrap it.*or pass samples of p"),
        (lambda self, n: None, TypeError, r"sample\(64\) of p returned NoneType.*a pair \(points, log-densities\)"),
        (lambda self, n: {"z": points(n)}, TypeError, r"returned dict; expected an array of points"),
        (lambda self: (None, 0.0), TypeError, r"sample\(\) of p returned tuple"),
        (
            lambda self, n=1: points(1)[0],
            ShapeError,
            r"sample\(64\) of p returned an array of shape \(2,\).*\(64, \*ev",
        ),
        (lambda self, n=1: torch.tensor(0.0), ShapeError, r"an array of shape \(\); expected 64 points"),
        (
            lambda self, sample_shape: points(3),
            ShapeError,
            r"sample\(\(64,\)\) of p returned an array of shape \(3, 2\)",
        ),
    ],
)
def test_what_is_missing_is_said(sample, error, says):
    with pytest.raises(error, match=says):
        kl_estimate(density(sample), Gaussian.standard(2), seed=0, n=64)


def test_a_sample_without_a_signature_gets_the_number():
    generator = np.random.Generator(np.random.PCG64(0))

    class Compiled:
        sample = staticmethod(generator.standard_normal)

    assert draw_points(Compiled(), 7, "p").shape == (7,)


def test_a_density_of_each_coordinate_is_refused():
    class PerCoordinate:
        def log_prob(self, z):
            return -(z**2) / 2 - math.log(2 * math.pi) / 2

    with pytest.raises(ShapeError, match=r"expected one number for each point\. Are the coordinates summed over"):
        kl_estimate(Gaussian.standard(2), PerCoordinate(), seed=0, n=64)


class Squashed:
    """A squashed policy for a batch of observations, as reinforcement learning has it: right for one draw of all."""

    def __init__(self, mean, std):
        self.distribution = torch.distributions.Normal(mean, std)

    def log_prob(self, a):
        z = torch.atanh(a.clamp(-1 + 1e-6, 1 - 1e-6))
        return self.distribution.log_prob(z).sum(dim=1) - torch.log(1 - a**2 + 1e-6).sum(dim=1)

    def sample(self):
        return torch.tanh(self.distribution.sample())


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_log_densities_that_are_added_over_the_second_dimension_are_those_of_each_draw(batch):
    mean = torch.randn(batch, 3, generator=torch.Generator().manual_seed(batch))
    p = Squashed(mean, torch.full((batch, 3), 0.5))
    # Of each coordinate by Gauss and Hermite.
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    z = mean.double().numpy()[..., None] + 0.5 * nodes
    log_p = -0.5 * nodes**2 - math.log(0.5 * math.sqrt(2 * math.pi)) - np.log1p(-(np.tanh(z) ** 2) + 1e-6)
    log_q = -0.5 * np.tanh(z) ** 2 - 0.5 * math.log(2 * math.pi)
    weights = weights / weights.sum()
    truth, entropy = ((weights * x).sum((-1, -2)) for x in (log_p - log_q, -log_p))
    for found, want in (
        (kl_estimate(p, Gaussian.standard(3), seed=0, n=8192), truth),
        (entropy_estimate(p, seed=0, n=8192), entropy),
    ):
        assert found.value.shape == (batch,)
        assert (abs(found.value.numpy() - want) < 5 * found.standard_error.numpy()).all()
        assert (found.standard_error < 0.05).all()
    backward = kl_estimate(Gaussian.from_std(0.1 * mean, torch.full((batch, 3), 0.05)), p, seed=0, n=64)
    assert backward.value.shape == (batch,)


def test_draws_in_two_dimensions_may_be_points_or_be_refused_one_by_one():
    class Images:
        def sample(self, n):
            return torch.randn(n, 2, 3)

        def log_prob(self, x):
            return -(x.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2

    assert entropy_estimate(Images(), seed=0, n=4096).value == pytest.approx(6 * 1.4189385, abs=0.2)

    class OfManyOnly(Images):
        def log_prob(self, x):
            return torch.einsum("nbd->nd", x)

    with pytest.raises(ValueError, match=r"log_prob of p gave \(64, 3\) numbers.*Add over the last dimension"):
        entropy_estimate(OfManyOnly(), seed=0, n=64)
