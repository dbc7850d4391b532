"""The cases by which torch, NumPyro and distrax test their own divergences."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torch.testing import assert_close
from truth.kinds import KINDS, build
from truth.records import FULL, of

import kullback
from kullback import Gaussian


# The cases of torch's own TestKL: for batches of 3, 2-dimensional full, low-rank and diagonal Gaussians with random
# parameters, against its formulas or, where it has none, against their dense form.
def torch_cases():
    g = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=g, dtype=torch.float64)

    def lower(*batch):
        return normal(*batch, 2, 2).tril(-1) + normal(*batch, 2).exp().diag_embed()

    for p_batch, q_batch in (((), ()), ((3,), (3,)), ((3,), ()), ((), (3,)), ((2, 3), (3,)), ((1, 3), (2, 1))):
        make = {
            "diagonal": lambda b: Independent(Normal(normal(*b, 2), normal(*b, 2).exp()), 1),
            "full": lambda b: MultivariateNormal(normal(*b, 2), scale_tril=lower(*b)),
            "covariance": lambda b: MultivariateNormal(normal(*b, 2), (x := lower(*b)) @ x.mT),
            "low rank": lambda b: LowRankMultivariateNormal(normal(*b, 2), normal(*b, 2, 1), normal(*b, 2).exp()),
        }
        for a in make:
            for b in make:
                yield make[a](p_batch), make[b](q_batch)


def dense(d):
    covariance = d.variance.diag_embed() if isinstance(d, Independent) else d.covariance_matrix
    return MultivariateNormal(d.mean, covariance)


def test_the_cases_of_torch_give_its_numbers_or_those_of_the_dense_form():
    for p, q in torch_cases():
        want = torch.distributions.kl_divergence(dense(p), dense(q))
        got = kullback.kl_divergence(p, q)
        assert got.shape == want.shape
        assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_the_edge_cases_of_torch_give_its_numbers():
    p = Normal(torch.zeros(3), torch.ones(3))
    assert (kullback.kl_divergence(p, p) == 0).all()
    assert_close(kullback.kl_divergence(Normal(0.0, 1.0), Normal(1.0, 2.0)), torch.tensor(math.log(2) + 0.25 - 0.5))


# NumPyro's grid: every pair of these batch shapes, for one event.
@pytest.mark.parametrize("p_shape", [(), (3,), (2, 1), (2, 3), (4, 1, 3)])
@pytest.mark.parametrize("q_shape", [(), (3,), (2, 1), (2, 3), (4, 1, 3)])
def test_batches_broadcast_as_in_numpyro(p_shape, q_shape):
    shape = np.broadcast_shapes(p_shape, q_shape)
    for kind_p in KINDS:
        for kind_q in KINDS:
            p, q = (
                build(kind, torch.zeros(*b, 3, dtype=torch.float64), torch.ones(*b, 3, 3, dtype=torch.float64))
                for kind, b in ((kind_p, p_shape), (kind_q, q_shape))
            )
            assert kullback.kl_divergence(p, q).shape == shape


# distrax mixes full, triangular, diagonal and isotropic covariances of equal content.
def test_mixed_pairs_agree_as_in_distrax():
    rng = np.random.default_rng(0)
    mean_p, mean_q, std_p, std_q = rng.standard_normal((4, 5, 4))
    std_p, std_q = np.exp(std_p), np.exp(std_q)
    forms = [
        [
            Gaussian.from_std(mean, std),
            Gaussian.from_variance(mean, std**2),
            Gaussian.from_scale_tril(mean, std[:, None] * np.eye(4)),
            Gaussian.from_covariance(mean, std[:, None] ** 2 * np.eye(4)),
            Gaussian.from_precision(mean, std[:, None] ** -2 * np.eye(4)),
            Gaussian.from_low_rank(mean, np.zeros((5, 4, 1)), std**2),
        ]
        for mean, std in ((mean_p, std_p), (mean_q, std_q))
    ]
    want = kullback.kl_divergence(forms[0][0], forms[1][0])
    for p in forms[0]:
        for q in forms[1]:
            np.testing.assert_allclose(kullback.kl_divergence(p, q), want, rtol=1e-12)
            for name in FULL:
                np.testing.assert_allclose(of(name)(p, q), of(name)(forms[0][0], forms[1][0]), rtol=1e-10)
