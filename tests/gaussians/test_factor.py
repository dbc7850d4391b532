"""Gaussians by any factor of their covariance."""

import math

import pytest
import torch
from torch.testing import assert_close

from kullback import Gaussian, NotPositiveDefinite, ShapeError, kl_divergence
from kullback.numerics.linear_algebra import lower_factor


@pytest.mark.parametrize("d", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("more", [0, 2])
def test_the_covariance_is_the_product_and_gradients_are_those_of_small_steps(d, more):
    factor = torch.randn(5, d, d + more, dtype=torch.float64)
    p = Gaussian.from_factor(torch.zeros(d, dtype=torch.float64), factor)
    assert_close(p.covariance_matrix, factor @ factor.mT)
    lower = lower_factor(factor.mT)
    assert (lower.triu(1) == 0).all()
    assert (lower.diagonal(dim1=-2, dim2=-1) > 0).all()
    q = Gaussian.from_covariance(torch.ones(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda a: kl_divergence(Gaussian.from_factor(torch.zeros(d, dtype=torch.float64), a), q),
        factor[:2].clone().requires_grad_(),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rotated_boxes_keep_their_digits(dtype):
    """Two boxes of one orientation are as far apart as their scales: the sum of the divergences of each axis."""
    for angle in (0.3, 1.2, -2.0):
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=dtype)
        a, b = (turn * torch.tensor(s, dtype=dtype) for s in ([500.0, 0.005], [510.0, 0.0055]))
        mean = torch.zeros(2, dtype=dtype)
        value = kl_divergence(Gaussian.from_factor(mean, a), Gaussian.from_factor(mean, b))
        ratios = [(500 / 510) ** 2, (0.005 / 0.0055) ** 2]
        want = sum(0.5 * (r - 1 - math.log(r)) for r in ratios)
        # The rotation, rounded, turns by up to half a unit, which 500 beside 0.005 magnifies.
        assert float(value) == pytest.approx(want, rel=0.05 if dtype == torch.float32 else 1e-9)


def test_what_has_no_density_is_refused():
    with pytest.raises(NotPositiveDefinite, match="from_low_rank"):
        Gaussian.from_factor(torch.zeros(3), torch.randn(3, 2))
    factor = torch.randn(4, 3, 3)
    factor[2, 1] = 2.0 * factor[2, 0]
    with pytest.raises(NotPositiveDefinite, match=r"factor\[2\] is singular: row 1"):
        Gaussian.from_factor(torch.zeros(3), factor)
    with pytest.raises(ShapeError):
        Gaussian.from_factor(torch.zeros(3), torch.eye(2))
