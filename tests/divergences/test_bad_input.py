"""What has no closed form, what slipped past validation, and pairs too large for a matrix."""

from pathlib import Path

import pytest
import torch
from torch.distributions import LowRankMultivariateNormal
from torch.testing import assert_close
from truth.records import FULL, of

import kullback
from kullback import Gaussian, NoClosedForm, ShapeError


def test_what_has_no_closed_form_says_what_to_call():
    p = Gaussian.from_covariance(torch.zeros(2), torch.eye(2))
    with pytest.raises(NoClosedForm, match="fisher_rao_bounds"):
        kullback.fisher_rao(p, p)
    with pytest.raises(NoClosedForm, match="kl_decomposition"):
        kullback.kl_per_dimension(p, p)
    with pytest.raises(ShapeError, match="event shape"):
        kullback.kl_divergence(p, Gaussian.standard(3))


@pytest.mark.parametrize("name", FULL)
def test_what_slipped_past_validation_gives_nan(name):
    bad = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    zero = torch.zeros(2)
    good = Gaussian.from_covariance(zero, torch.eye(2))
    for wrong in (
        Gaussian.from_covariance(zero, bad, validate=False),
        Gaussian.from_precision(zero, bad, validate=False),
        Gaussian.from_scale_tril(zero, -torch.eye(2), validate=False),
        Gaussian.from_low_rank(zero, torch.ones(2, 1), -torch.ones(2), validate=False),
    ):
        for pair in ((wrong, good), (good, wrong), (wrong, wrong)):
            assert torch.isnan(of(name)(*pair)), (name, wrong)


def test_a_nan_mean_propagates():
    p = Gaussian.from_covariance(torch.tensor([0.0, torch.nan]), torch.eye(2), validate=False)
    for name in FULL:
        assert torch.isnan(of(name)(p, Gaussian.standard(2))), name


def test_low_rank_pairs_of_many_dimensions_take_no_square_matrix():
    """10 GB for one d × d matrix, were there any; values against the matrix-determinant lemma in float64."""
    g = torch.Generator().manual_seed(0)
    d, r = 50_000, 4
    w, v = torch.randn(d, r, generator=g, dtype=torch.float64), torch.rand(d, generator=g, dtype=torch.float64) + 0.5
    leaf = w.clone().requires_grad_()
    p = Gaussian.from_low_rank(torch.zeros(d, dtype=torch.float64), leaf, v)
    q = Gaussian.from_low_rank(torch.zeros(d, dtype=torch.float64), w * 1.1, v * 1.01)
    value = kullback.kl_divergence(p, q)
    (gradient,) = torch.autograd.grad(value, leaf)
    torch_p, torch_q = (LowRankMultivariateNormal(x.mean, x.scale.factor, x.scale.variance) for x in (p, q))
    assert_close(value, torch.distributions.kl_divergence(torch_p, torch_q), rtol=1e-9, atol=0)
    assert torch.isfinite(gradient).all()
    assert kullback.bhattacharyya(p, q) > 0
    for same in (kullback.kl_divergence, kullback.bhattacharyya, kullback.hellinger):
        assert same(p, p) == 0
    assert kullback.entropy(p) > 0


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="only Linux says how much memory there is")
def test_what_does_not_fit_into_memory_says_so_before_it_is_tried():
    d = 400_000
    p = Gaussian.from_low_rank(torch.zeros(d), torch.ones(d, 1), 1.0)
    with pytest.raises(MemoryError, match=r"wasserstein2 of 1 pairs in 400000 dimensions.*needs about 2,560 GB"):
        kullback.wasserstein2(p, p)


def test_what_is_not_positive_definite_is_told_a_way_on():
    # A determinant of 3e-8, which float32 rounds away.
    nearly = torch.tensor([[3.0, 1.0], [1.0, 1.0 / 3.0]])
    with pytest.raises(
        kullback.NotPositiveDefinite, match=r"In float64 these numbers are: pass covariance\.double\(\)"
    ):
        Gaussian.from_covariance(torch.zeros(2), nearly)
    t = torch.linspace(0, 1, 100, dtype=torch.float64)
    with pytest.raises(kullback.NotPositiveDefinite, match=r"add it yourself: covariance \+ c I, with c = 1e-06"):
        Gaussian.from_covariance(torch.zeros(100), torch.exp(-0.5 * (t[:, None] - t) ** 2 / 0.2**2))
    with pytest.raises(ValueError, match="from_factor"):
        Gaussian.from_scale_tril(torch.zeros(2), torch.tensor([[1.0, 1.0], [0.0, 1.0]]))
