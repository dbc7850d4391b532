"""kl_decomposition."""

import torch
from hypothesis import given, settings
from torch.testing import assert_close
from truth.kinds import as_matrices
from truth.strategies import full_pairs

import kullback
from kullback import Gaussian


@given(full_pairs())
@settings(max_examples=60)
def test_the_decomposition_sums_to_the_divergence_whatever_the_order_of_coordinates(pair):
    p, q = pair
    q = kullback.nearest_diagonal(q)
    parts = kullback.kl_decomposition(p, q)
    assert_close(parts.mean + parts.covariance, kullback.kl_divergence(p, q), rtol=1e-9, atol=1e-15)
    assert_close(parts.marginal_scales + parts.total_correlation, parts.covariance, rtol=1e-9, atol=1e-15)
    assert all(x >= 0 for x in parts)
    order = torch.tensor([2, 0, 1])
    p = as_matrices(p)
    p = Gaussian.from_covariance(p.mean[order], p.scale.matrix[order][:, order])
    q = Gaussian.from_std(q.mean[order], q.scale.stds(q.event_shape)[order])
    again = kullback.kl_decomposition(p, q)
    # Small parts feel the conversions.
    for a, b in zip(parts, again, strict=True):
        assert_close(a, b, rtol=1e-7, atol=1e-9)
