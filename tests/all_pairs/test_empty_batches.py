"""Batches of no Gaussians."""

import pytest
import torch

from kullback import Gaussian, pairwise


@pytest.mark.parametrize("divergence", ["kl", "jeffreys", "hellinger"])
def test_an_empty_batch_gives_an_empty_matrix(divergence):
    for p in (
        Gaussian.from_std(torch.zeros(3, 2), torch.ones(3, 2)),
        Gaussian.from_covariance(torch.zeros(3, 2), torch.eye(2)),
    ):
        assert pairwise(p, p[:0], divergence).shape == (3, 0)
        assert pairwise(p[:0], p, divergence).shape == (0, 3)
