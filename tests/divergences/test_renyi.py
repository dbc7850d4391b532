"""The Rényi divergence: its limits and its orders."""

import math

import pytest
import torch
from hypothesis import given, settings
from torch.testing import assert_close
from truth.strategies import full_pairs

import kullback
from kullback import Gaussian


@given(full_pairs(("scale_tril", "covariance", "std", "low_rank")))
@settings(max_examples=40)
def test_renyi_approaches_kl_from_both_sides(pair):
    p, q = pair
    kl = kullback.kl_divergence(p, q)
    for alpha in (1 - 1e-13, 1 + 1e-13):
        assert_close(kullback.renyi(p, q, alpha), kl, rtol=1e-10, atol=0)
    assert_close(kullback.renyi(p, q, 1.0), kl, rtol=4 * torch.finfo(torch.float64).eps, atol=0)


def test_undefined_renyi_divergences_are_infinite_row_by_row():
    p = Gaussian.from_covariance(torch.zeros(2, 2), torch.stack([torch.eye(2), 3 * torch.eye(2)]))
    value = kullback.renyi(p, Gaussian.standard(2), 2.0)
    assert value.tolist() == [0.0, math.inf]
    assert kullback.chi_squared(p, Gaussian.standard(2)).tolist() == [0.0, math.inf]
    diagonal = Gaussian.from_std(torch.zeros(2, 2), torch.tensor([[1.0, 1.0], [2.0, 1.0]]))
    assert kullback.renyi(diagonal, Gaussian.standard(2), 2.0).tolist() == [0.0, math.inf]


@pytest.mark.parametrize("alpha", [-0.5, math.inf, math.nan, True, "2"])
def test_orders_that_make_no_sense_are_refused(alpha):
    with pytest.raises(ValueError, match="alpha is a number from 0 up"):
        kullback.renyi(Gaussian.standard(2), Gaussian.standard(2), alpha)
