"""Sums of divergences over the parameters of a network."""

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from kullback import Gaussian, ShapeError
from kullback.losses import sum_kl

SHAPES = {"layer.weight": (4, 3), "layer.bias": (4,), "scale": ()}


def test_it_is_the_sum_that_torch_has_and_gradients_flow():
    layers = {name: (torch.randn(s).requires_grad_(), torch.rand(s) + 0.1) for name, s in SHAPES.items()}
    found = sum_kl(layers, Gaussian.from_std(0.0, 0.5))
    for name, (mean, std) in layers.items():
        want = torch.distributions.kl_divergence(Normal(mean, std), Normal(0.0, 0.5)).sum()
        assert_close(found.parts[name], want)
    assert_close(found.total, sum(found.parts.values()))
    means = [mean for mean, _ in layers.values()]
    for got, mean in zip(torch.autograd.grad(found.total, means), means, strict=True):
        assert_close(got, mean / 0.25)


def test_priors_and_posteriors_come_in_every_form():
    mean, log_std = torch.randn(4, 3), torch.randn(4, 3)
    want = sum_kl({"w": (mean, log_std.exp())}).total
    assert_close(sum_kl({"w": (mean, log_std)}, scale="log_std").total, want)
    assert_close(sum_kl({"w": (mean, 2 * log_std)}, scale="logvar").total, want)
    assert_close(sum_kl({"w": Gaussian.from_log_std(mean, log_std)}).total, want)
    assert_close(sum_kl({"w": Independent(Normal(mean, log_std.exp()), 2)}).total, want)
    priors = {"w": Gaussian.from_std(mean, log_std.exp(), event_dims=0)}
    assert sum_kl({"w": (mean, log_std.exp())}, priors).total == 0
    with pytest.raises(KeyError, match="other"):
        sum_kl({"other": (mean, log_std.exp())}, priors)
    with pytest.raises(ValueError, match="at least one"):
        sum_kl({})


def test_a_pair_is_of_one_shape_and_a_prior_does_not_repeat_it():
    for pair in ((torch.zeros(3, 2), torch.ones(2)), (np.zeros(2), np.ones((3, 2)))):
        with pytest.raises(ShapeError, match=r"w: the mean has shape \(.*, the std has \("):
            sum_kl({"w": pair})
    with pytest.raises(ShapeError, match="counted several times"):
        sum_kl({"w": (torch.zeros(2), torch.ones(2))}, Gaussian.from_std(torch.zeros(3, 2), 1.0, event_dims=0))
    with pytest.raises(TypeError, match=r"a pair, \(mean, std\)"):
        sum_kl({"w": (torch.zeros(2),)})
    assert sum_kl({"w": (torch.ones(3, 2), 1.0)}).total == 3.0
