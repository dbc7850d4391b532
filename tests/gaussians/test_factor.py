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


def test_a_singular_factor_is_refused_unless_it_is_asked_for():
    factor = torch.randn(4, 3, 3)
    factor[2, 1] = 2.0 * factor[2, 0]
    with pytest.raises(NotPositiveDefinite, match=r"factor\[2\] is singular: row 1"):
        Gaussian.from_factor(torch.zeros(3), factor)
    assert Gaussian.from_factor(torch.zeros(3), factor, singular=True).batch_shape == (4,)
    with pytest.raises(ShapeError):
        Gaussian.from_factor(torch.zeros(3), torch.eye(2))


def test_what_is_no_rotation_is_refused_and_quaternions_have_any_length():
    scale, quaternion = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])
    want = Gaussian.from_rotation_scale(torch.zeros(3), quaternion, scale).covariance_matrix
    for length in (1e-30, 1e-22, 1e20, 1e30):
        found = Gaussian.from_rotation_scale(torch.zeros(3), quaternion * length, scale)
        assert_close(found.covariance_matrix, want)
    with pytest.raises(ValueError, match="not 0"):
        Gaussian.from_rotation_scale(torch.zeros(3), 0 * quaternion, scale)
    with pytest.raises(ValueError, match="orthogonal"):
        Gaussian.from_rotation_scale(torch.zeros(3), torch.ones(3, 3), scale)


def test_rotations_and_scales_are_a_covariance():
    quaternion = torch.randn(5, 4, dtype=torch.float64)
    scale = torch.rand(5, 3, dtype=torch.float64) + 0.1
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    # By the definition: v goes to v + 2 w (u × v) + 2 u × (u × v), u the vector part.
    u, basis = torch.stack([x, y, z], -1)[:, None], torch.eye(3, dtype=torch.float64).expand(5, 3, 3)
    cross = torch.linalg.cross(u.expand(5, 3, 3), basis)
    rotation = (basis + 2 * w[:, None, None] * cross + 2 * torch.linalg.cross(u.expand(5, 3, 3), cross)).mT
    want = rotation @ torch.diag_embed(scale**2) @ rotation.mT
    mean = torch.zeros(5, 3, dtype=torch.float64)
    for p in (
        Gaussian.from_rotation_scale(mean, quaternion, scale),
        Gaussian.from_rotation_scale(mean, rotation, log_scale=scale.log()),
    ):
        assert_close(p.covariance_matrix, want)
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    assert_close(
        Gaussian.from_rotation_scale(torch.zeros(2), turn, torch.tensor([2.0, 3.0])).stddev, torch.tensor([3.0, 2.0])
    )
    numbers = Gaussian.from_rotation_scale([0.0, 0.0], turn.numpy(), [2.0, 3.0])
    assert type(kl_divergence(numbers, numbers)).__module__ == "numpy"


def test_a_rotation_that_is_none_and_scales_that_are_none_are_refused():
    for rotation, d in ((torch.eye(3), 2), (torch.ones(4), 2), (torch.ones(3), 3)):
        with pytest.raises(ShapeError, match="a rotation of"):
            Gaussian.from_rotation_scale(torch.zeros(d), rotation, torch.ones(d))
    with pytest.raises(ValueError, match="negative"):
        Gaussian.from_rotation_scale(torch.zeros(2), torch.eye(2), -torch.ones(2))
    with pytest.raises(TypeError, match="one of scale and log_scale"):
        Gaussian.from_rotation_scale(torch.zeros(2), torch.eye(2))
