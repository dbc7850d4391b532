"""What holds for every pair of Gaussians, hunted by hypothesis."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from truth.kinds import MAKE
from truth.strategies import gaussian_pairs

from kullback import Gaussian, kernels, kl_divergence, kl_per_dimension


@given(gaussian_pairs(same_parameterization=False))
def test_it_is_never_negative_and_never_nan(pair):
    p, q = pair
    value = kl_divergence(p, q)
    assert not np.isnan(value).any()
    assert (value >= 0).all()


@given(gaussian_pairs())
def test_it_is_zero_with_zero_gradient_at_equality(pair):
    p, _ = pair
    operands = [x.clone().requires_grad_() for x in (p.mean, p.scale.value) * 2]
    make = MAKE[p.scale.parameterization]
    value = kl_divergence(make(*operands[:2]), make(*operands[2:]))
    assert (value == 0).all()
    for gradient in torch.autograd.grad(value.sum(), operands):
        assert (gradient == 0).all()


@given(gaussian_pairs())
def test_the_result_has_the_broadcast_batch_shape_and_sums_the_dimensions(pair):
    p, q = pair
    per_dimension = kl_per_dimension(p, q)
    batch = np.broadcast_shapes(p.batch_shape, q.batch_shape)
    assert per_dimension.shape == (*batch, *p.event_shape)
    total = kl_divergence(p, q)
    assert total.shape == batch
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(total, per_dimension.sum(-1), rtol=8 * np.finfo(total.dtype).eps)


def assert_same_numbers(compare):
    """That the reference formula gives the same numbers, and kernels such within their contract.

    ``compare`` gives two arrays. The C library has another loop for numbers far from 1, which may round otherwise: each
    of the two arrays is within 4 units in the last place of the truth.
    """
    with kernels.use("reference"):
        np.testing.assert_array_equal(*compare())
    np.testing.assert_array_max_ulp(*compare(), maxulp=8)


@given(gaussian_pairs(batched=True))
@settings(max_examples=50)
def test_a_row_alone_gives_what_it_gives_in_a_batch(pair):
    p, q = pair

    def compare():
        return np.stack([kl_divergence(p[i], q[i]) for i in range(len(p))]), kl_divergence(p, q)

    assert_same_numbers(compare)


@given(gaussian_pairs(kinds=("std",)))
def test_a_common_change_of_unit_by_a_power_of_two_changes_nothing(pair):
    """KL is invariant under a common affine map; scaling by a power of two is one that rounds nothing."""
    moved = [Gaussian.from_std(4 * g.mean.numpy(), 4 * g.scale.value.numpy()) for g in pair]
    assert_same_numbers(lambda: (kl_divergence(*moved), kl_divergence(*pair)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_diagonal_parameterizations_of_one_gaussian_agree(dtype):
    rng = np.random.default_rng(0)
    mean_p, mean_q = rng.standard_normal((2, 50, 8)).astype(dtype)
    std_p, std_q = rng.uniform(0.5, 2, (2, 50, 8)).astype(dtype)
    by_std = kl_divergence(Gaussian.from_std(mean_p, std_p), Gaussian.from_std(mean_q, std_q))
    for p in (Gaussian.from_variance(mean_p, std_p**2), Gaussian.from_logvar(mean_p, 2 * np.log(std_p))):
        for q in (Gaussian.from_variance(mean_q, std_q**2), Gaussian.from_logvar(mean_q, 2 * np.log(std_q))):
            np.testing.assert_allclose(kl_divergence(p, q), by_std, rtol=100 * np.finfo(dtype).eps)
