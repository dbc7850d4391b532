"""How the ``sample`` of an object is called, and what it has to return."""

import math

import numpy as np
import pytest
import torch

from kullback import Gaussian, ShapeError, kl_estimate
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
