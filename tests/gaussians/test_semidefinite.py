"""Gaussians on a subspace: how they are built, and what of them is defined."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from kullback import Gaussian, NotPositiveDefinite


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d"), [(2, 5), (5, 5), (6, 5), (40, 64)])
def test_low_rank_samples_have_the_covariance_of_numpy(n, d, dtype):
    x = (np.random.default_rng(n).normal(size=(n, d)) + 1000).astype(dtype)
    p = Gaussian.from_samples(x, structure="low_rank")
    want = np.cov(x.astype(np.float64).T)
    assert np.abs(np.asarray(p.covariance_matrix) - want).max() < 40 * np.finfo(dtype).eps * np.abs(want).max()
    assert p.scale.has_density == (n > d)
    if n > d:
        assert_close(p.entropy(), Gaussian.from_samples(x, structure="full").entropy())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match=r"not finite: .* at \[1, 0\]"):
        Gaussian.from_samples(np.array([[1.0, 2.0], [bad, 3.0], [4.0, 4.0]]), structure="low_rank")


def test_low_rank_samples_take_features_that_are_dead():
    x = np.random.default_rng(0).normal(size=(50, 4))
    x[:, 2] = 7.0
    p = Gaussian.from_samples(x, structure="low_rank")
    assert not p.scale.has_density
    assert p.stddev[2] == 0
    batch = Gaussian.from_samples(np.stack([x, 2 * x], 1), structure="low_rank")
    assert_close(batch.covariance_matrix, torch.stack([p.covariance_matrix, 4 * p.covariance_matrix]))


@given(st.integers(1, 8), st.integers(0, 8), st.integers(0, 2**32 - 1), st.sampled_from([torch.float32, torch.float64]))
def test_a_semidefinite_covariance_has_the_rank_that_it_was_made_with(d, r, seed, dtype):
    """Whatever the units of the coordinates, and never by luck of rounding."""
    r = min(r, d)
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=generator))[0][:, :r]
    units = torch.exp(8 * torch.randn(d, dtype=torch.float64, generator=generator))
    factor = units[:, None] * basis * torch.linspace(1, 3, r, dtype=torch.float64)
    matrix = (factor @ factor.mT).to(dtype)
    p = Gaussian.from_covariance(torch.zeros(d, dtype=dtype), matrix, singular=True)
    found = p.scale.factor.shape[-1] if not p.scale.has_density else d
    # A projection can be nearly of a lower rank in the units of the coordinates; never of a higher.
    assert found <= max(r, 1)
    size = matrix.diagonal().sqrt()
    error = (p.covariance_matrix - matrix).abs() / torch.where(size > 0, size, 1.0) / size.clamp(min=1e-300)[:, None]
    assert bool((error.nan_to_num() < 500 * torch.finfo(dtype).eps).all())


def test_a_batch_of_several_ranks_is_one_batch():
    matrices = torch.stack([torch.diag(torch.tensor(v)) for v in ([1.0, 2.0, 3.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0])])
    p = Gaussian.from_covariance(torch.zeros(3), matrices, singular=True)
    assert_close(p.covariance_matrix, matrices)
    assert_close(p.entropy()[1:], torch.tensor([-math.inf, -math.inf]))
    assert_close(p.entropy()[:1], Gaussian.from_covariance(torch.zeros(3), matrices[0]).entropy()[None])
    assert Gaussian.from_covariance(torch.zeros(3), matrices[:1], singular=True).scale.has_density


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, -0.5]], "leave -0.5 of the variance of coordinate 2"),
        ([[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], "leave -3 of the variance"),
        ([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], "not positive semidefinite"),
    ],
)
def test_an_indefinite_matrix_is_refused(matrix, message):
    with pytest.raises(NotPositiveDefinite, match=message):
        Gaussian.from_covariance(torch.zeros(3), torch.tensor(matrix), singular=True)
    batch = torch.stack([torch.eye(3), torch.tensor(matrix)])[:, None]
    with pytest.raises(NotPositiveDefinite, match=r"covariance\[1, 0\]"):
        Gaussian.from_covariance(torch.zeros(3), batch, singular=True)
    with pytest.raises(ValueError, match="not symmetric"):
        Gaussian.from_covariance(torch.zeros(2), torch.tensor([[1.0, 0.5], [0.2, 1.0]]), singular=True)


def test_the_errors_of_singular_matrices_name_the_way_on():
    matrix = torch.diag(torch.tensor([1.0, 0.0]))
    with pytest.raises(NotPositiveDefinite, match="singular=True"):
        Gaussian.from_covariance(torch.zeros(2), matrix)
    with pytest.raises(NotPositiveDefinite, match="low_rank"):
        Gaussian.from_samples(torch.randn(3, 5), structure="full")
    with pytest.raises(ValueError, match="from_rotation_scale"):
        Gaussian.from_rotation_scale(torch.zeros(2), torch.eye(2), torch.tensor([1.0, 0.0]))
    with pytest.raises(ValueError, match="negative"):
        Gaussian.from_rotation_scale(torch.zeros(2), torch.eye(2), torch.tensor([1.0, -1.0]), singular=True)
    flat = Gaussian.from_rotation_scale(torch.zeros(2), torch.eye(2), torch.tensor([1.0, 0.0]), singular=True)
    assert_close(flat.covariance_matrix, matrix)


def test_scales_that_are_not_positive_are_told_what_their_constructor_takes():
    mean, turn, factor = torch.zeros(2), torch.eye(2), torch.ones(2, 1)
    for scale, says in (
        ([1.0, 0.0], r"scale has zeros \(at \[1\]\).*log_scale=.*singular=True"),
        ([-1.0, 1.0], r"scale has negative values .*log_scale="),
        ([torch.inf, 1.0], r"scale has an infinite value .*log_scale="),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            Gaussian.from_rotation_scale(mean, turn, torch.tensor(scale))
        assert "from_log" not in str(caught.value)
    with pytest.raises(ValueError, match=r"from_rotation_scale: log_scale has NaN"):
        Gaussian.from_rotation_scale(mean, turn, log_scale=torch.tensor([torch.nan, 1.0]))
    variance = torch.tensor([2.0, 0.0])
    with pytest.raises(ValueError, match=r"variance has zeros.*variance=0\.0, the number, or from_factor") as caught:
        Gaussian.from_low_rank(mean, factor, variance)
    assert "from_log" not in str(caught.value)
    # What the message writes has the covariance that was meant.
    wide = torch.cat([factor, torch.diag_embed(variance.sqrt())], -1)
    assert_close(
        Gaussian.from_factor(mean, wide, singular=True).covariance_matrix, factor @ factor.mT + torch.diag(variance)
    )


def test_what_is_defined_without_a_density():
    factor = torch.randn(4, 3, 2, dtype=torch.float64)
    mean = torch.randn(4, 3, dtype=torch.float64)
    for p in (Gaussian.from_factor(mean, factor), Gaussian.from_low_rank(mean, factor, 0.0)):
        covariance = factor @ factor.mT
        assert_close(p.covariance_matrix, covariance)
        assert_close(p.variance, covariance.diagonal(dim1=-2, dim2=-1))
        assert_close(p.stddev.square(), p.variance)
        assert (p.entropy() == -math.inf).all()
        assert_close(p.marginal([2, 0]).covariance_matrix, covariance[:, [2, 0]][:, :, [2, 0]])
        turn = torch.randn(2, 3, dtype=torch.float64)
        assert_close(p.affine(turn).covariance_matrix, turn @ covariance @ turn.mT)
        assert_close(p[1:3].covariance_matrix, covariance[1:3])
        samples = p.sample(20000, generator=torch.Generator().manual_seed(0))
        assert_close(samples.mean(0), mean, atol=0.1, rtol=0)
        outside = torch.linalg.cross(factor[..., 0], factor[..., 1])
        assert ((samples - mean) * outside).sum(-1).abs().max() < 1e-12
        assert_close(p.to(torch.float32).covariance_matrix, covariance.float())


@pytest.mark.parametrize(
    "ask",
    [
        lambda p: p.log_prob(torch.zeros(3)),
        lambda p: p.precision_matrix,
        lambda p: p.to_torch(),
    ],
)
def test_what_needs_a_density_says_so(ask):
    with pytest.raises(NotPositiveDefinite, match="needs a density"):
        ask(Gaussian.from_factor(torch.zeros(3), torch.randn(3, 2)))


def test_stacking_keeps_covariances():
    gaussians = [
        Gaussian.from_factor(torch.zeros(3), torch.randn(3, 2)),
        Gaussian.from_factor(torch.zeros(3), torch.randn(3, 1)),
        Gaussian.from_std(torch.zeros(3), torch.ones(3)),
        Gaussian.from_covariance(torch.zeros(3), torch.eye(3)),
    ]
    stacked = Gaussian.stack(gaussians)
    assert_close(stacked.covariance_matrix, torch.stack([g.covariance_matrix for g in gaussians]))


def test_a_covariance_has_the_derivatives_that_keep_its_rank():
    """Along W(t) W(t)ᵀ, the derivative of what depends on the covariance alone is that of W(t)."""
    torch.manual_seed(0)
    factor = torch.randn(2, 5, 2, dtype=torch.float64)
    change = torch.randn(2, 5, 2, dtype=torch.float64)
    weights = torch.randn(2, 5, 5, dtype=torch.float64)

    def value(t, build):
        return (weights * build(factor + t * change).covariance_matrix).sum()

    def by_covariance(w):
        return Gaussian.from_covariance(torch.zeros(5, dtype=torch.float64), w @ w.mT, singular=True)

    def by_factor(w):
        return Gaussian.from_factor(torch.zeros(5, dtype=torch.float64), w)

    slopes = []
    for build in (by_covariance, by_factor):
        t = torch.zeros((), dtype=torch.float64, requires_grad=True)
        first = torch.autograd.grad(value(t, build), t, create_graph=True)[0]
        slopes.append((first, torch.autograd.grad(first, t)[0]))
    for one, other in zip(*slopes, strict=True):
        assert_close(one, other, rtol=1e-9, atol=1e-9)
