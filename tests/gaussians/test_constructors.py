"""Constructors: matrices that no Gaussian has, samples, densities."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from truth.kinds import KINDS, build

import kullback
from kullback import Gaussian, NotPositiveDefinite, ShapeError


def test_matrices_that_no_gaussian_has_raise_with_index_and_pivot():
    good, bad = torch.eye(3), torch.eye(3)
    bad[2, 2] = -2.0
    for make in (Gaussian.from_covariance, Gaussian.from_precision):
        with pytest.raises(NotPositiveDefinite, match=r"\[1\] is not positive definite \(pivot 2 is -2\)"):
            make(torch.zeros(3), torch.stack([good, bad]))
        with pytest.raises(NotPositiveDefinite, match=r"is (singular|not positive definite) \(pivot 1 is"):
            make(torch.zeros(2), torch.ones(2, 2))
        with pytest.raises(ValueError, match="not symmetric"):
            make(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.0, 1.0]]))
        with pytest.raises(ValueError, match="not finite"):
            make(torch.zeros(2), torch.full((2, 2), torch.nan))
        with pytest.raises(ShapeError, match="event shape"):
            make(torch.zeros(2), torch.eye(3))
        with pytest.raises(ShapeError, match="must have shape"):
            make(torch.zeros(3), torch.ones(3))
    with pytest.raises(NotPositiveDefinite, match=r"pivot 2 is -2"):
        Gaussian.from_scale_tril(torch.zeros(3), bad)
    with pytest.raises(ValueError, match="not lower triangular"):
        Gaussian.from_scale_tril(torch.zeros(2), torch.ones(2, 2))
    with pytest.raises(ValueError, match="negative"):
        Gaussian.from_low_rank(torch.zeros(2), torch.ones(2, 1), -torch.ones(2))


def test_samples_in_full_structure_recover_the_gaussian():
    g = torch.Generator().manual_seed(0)
    p = Gaussian.from_covariance(torch.tensor([1e4, 0.0]), torch.tensor([[1.0, 0.8], [0.8, 2.0]]))
    fit = Gaussian.from_samples(p.sample(20_000, generator=g), structure="full")
    assert fit.scale.parameterization == "scale_tril"
    assert kullback.kl_divergence(fit, p) < 1e-3
    x = np.random.default_rng(0).standard_normal((50, 3))
    np.testing.assert_allclose(
        Gaussian.from_samples(x, structure="full").scale.covariance(), np.cov(x.T), rtol=1e-12, atol=1e-15
    )
    with pytest.raises(NotPositiveDefinite, match="more samples than coordinates"):
        Gaussian.from_samples(x[:3], structure="full")


@pytest.mark.parametrize("kind", KINDS)
def test_densities_samples_and_torch_objects_agree(kind):
    g = torch.Generator().manual_seed(0)
    p = build(kind, torch.randn(2, 3, generator=g), torch.randn(2, 3, 3, generator=g))
    theirs = p.to_torch()
    x = torch.randn(5, 2, 3, generator=g)
    assert_close(p.log_prob(x), theirs.log_prob(x), rtol=1e-4, atol=1e-4)
    assert_close(p.entropy(), theirs.entropy(), rtol=1e-5, atol=1e-5)
    fit = Gaussian.from_samples(p.sample(20_000, generator=g), structure="full")
    assert (kullback.kl_divergence(fit, p) < 5e-3).all()
    assert p[0].batch_shape == ()
    assert p[None].batch_shape == (1, 2)
    stacked = Gaussian.stack([p, Gaussian.standard(3)])
    assert stacked.batch_shape == (2, 2)
    assert_close(kullback.kl_divergence(stacked[0], p), torch.zeros(2), rtol=0, atol=1e-9)
