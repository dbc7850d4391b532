"""kl_loss, free bits and the balanced KL."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from truth.kinds import DIAGONAL, MAKE
from truth.twins import FULL, both, close, full_operands, operands

from kullback import Gaussian, NoClosedForm, ShapeError, kl_divergence
from kullback.losses import balanced_kl, free_bits, kl_loss


def test_free_bits_clip_where_their_name_says():
    mean = torch.tensor([[1.0, 0.0, 2.0], [0.2, 0.0, 0.0]], requires_grad=True)
    p, q = Gaussian.from_std(mean, torch.ones(2, 3)), Gaussian.standard(3)
    parts = 0.5 * mean.detach() ** 2
    assert free_bits(p, q, per_dimension=0.3) == parts.clamp(min=0.3).sum(1).mean()
    assert free_bits(p, q, per_group=0.3) == parts.mean(0).clamp(min=0.3).sum()
    assert (
        free_bits(p, q, per_group=0.3, groups=[[0, 1], [2]])
        == torch.stack([parts[:, :2].sum(1).mean(), parts[:, 2].mean()]).clamp(min=0.3).sum()
    )
    assert free_bits(p, q, per_group=0.3, groups=1) == parts.sum(1).mean()
    assert free_bits(p, q, after_mean=0.3) == parts.sum(1).mean()
    (gradient,) = torch.autograd.grad(free_bits(p, q, after_mean=5.0), mean)
    assert (gradient == 0).all()
    for bad in ({}, {"per_dimension": 0.1, "after_mean": 0.1}, {"after_mean": -1.0}, {"after_mean": 1.0, "groups": 2}):
        with pytest.raises(ValueError, match=r"free_bits takes one|groups belong"):
            free_bits(p, q, **bad)
    full = Gaussian.from_covariance(torch.zeros(3), torch.eye(3))
    for named in ({"per_dimension": 0.3}, {"per_group": 0.3}):
        with pytest.raises(NoClosedForm, match="after_mean"):
            free_bits(full, full, **named)
    assert free_bits(full, full, after_mean=0.3) == pytest.approx(0.3)
    for groups in (2, [[0], [1]], [[0, 0], [1, 2]]):
        with pytest.raises(ValueError, match="groups"):
            free_bits(p, q, per_group=0.1, groups=groups)


@pytest.mark.parametrize("bad", ["1", None, [0.5], torch.tensor([0.5, 0.5]), -0.5, float("nan"), 1j])
def test_what_is_no_number_of_nats_is_refused(bad):
    p, q = Gaussian.from_std(torch.zeros(2), torch.ones(2)), Gaussian.standard(2)
    for call in (
        lambda: free_bits(p, q, per_row=bad),
        lambda: free_bits(p, q, after_mean=bad),
        lambda: balanced_kl(p, q, free=bad),
        lambda: balanced_kl(p, q, balance=bad),
    ):
        with pytest.raises(ValueError, match=r"a number of nats from 0 up|a number between 0 and 1"):
            call()


@pytest.mark.parametrize("number", [1, np.float32(1.0), torch.tensor(1.0)])
def test_numbers_of_every_kind_are_numbers_of_nats(number):
    p, q = Gaussian.from_std(torch.zeros(2), torch.ones(2)), Gaussian.standard(2)
    assert free_bits(p, q, per_row=number) == balanced_kl(p, q, balance=number, free=number) == 1.0


def test_balanced_kl_keeps_the_value_and_splits_the_gradient():
    mean, prior = torch.tensor([[1.0, 2.0]], requires_grad=True), torch.zeros(2, requires_grad=True)
    one = torch.ones(2)
    p, q = Gaussian.from_std(mean, one), Gaussian.from_std(prior, one)
    loss, plain = balanced_kl(p, q, balance=0.8), kl_divergence(p, q).mean()
    torch.testing.assert_close(loss, plain)
    for got, want, share in zip(
        torch.autograd.grad(loss, [mean, prior]), torch.autograd.grad(plain, [mean, prior]), (0.2, 0.8), strict=True
    ):
        torch.testing.assert_close(got, share * want)
    with pytest.raises(ValueError, match="balance"):
        balanced_kl(p, q, balance=1.5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [3, 40])
def test_the_loss_is_the_mean_of_the_weighted_rows(body, by_formula, weighted, n):
    weights = torch.linspace(0, 2, 6) if weighted else None
    for given in DIAGONAL:
        leaves = [v.requires_grad_() for v in operands(6, n)]

        def f(*v, given=given):
            return kl_loss(MAKE[given](*v[:2]), MAKE[given](*v[2:]), weights) * 3.0

        (value, found), (want, truths) = both(f, leaves, by_formula)
        close(value, want, n)
        for got, truth in zip(found, truths, strict=True):
            assert_close(got, truth, rtol=2e-5, atol=1e-6)
    value = f(*leaves)
    first = torch.autograd.grad(value, leaves, retain_graph=True)
    assert_close(torch.autograd.grad(value, leaves), first)
    double = [v.detach().double().requires_grad_() for v in leaves]
    if weights is None:
        assert torch.autograd.gradgradcheck(f, double)
    shared = [v.detach() for v in leaves[:2]]
    prior = [v[0].clone().requires_grad_() for v in leaves[2:]]
    (value, found), (want, truths) = both(lambda *v: f(*shared, *v), prior, by_formula)
    close(value, want, n)
    for got, truth in zip(found, truths, strict=True):
        assert_close(got, truth, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("kind", FULL)
def test_the_loss_of_full_pairs_is_that_of_the_formula(body, by_formula, kind):
    leaves = [v.requires_grad_() for v in full_operands(2, 3, kind)]
    weights = torch.tensor([0.5, 2.0], dtype=torch.float64)

    def loss(*v):
        return kl_loss(MAKE[kind](*v[:2], validate=False), MAKE[kind](*v[2:], validate=False), weights)

    (value, found), (want, truths) = both(loss, leaves, by_formula)
    assert_close(value, want, rtol=1e-13, atol=0)
    assert_close(found, truths, rtol=1e-11, atol=1e-13)


def test_the_loss_takes_full_gaussians_and_says_what_does_not_fit():
    p = Gaussian.from_covariance(torch.zeros(3, 2), torch.eye(2))
    q = Gaussian.from_covariance(torch.ones(2), torch.eye(2))
    assert_close(kl_loss(p, q, torch.tensor([1.0, 2.0, 3.0])), torch.tensor(2.0))
    with pytest.raises(ShapeError, match="do not broadcast"):
        kl_loss(p, q, torch.ones(4))
    weights = torch.ones(4, requires_grad=True)
    p, q = (Gaussian.from_std(torch.rand(4, 5), torch.rand(4, 5) + 0.5) for _ in range(2))
    kl_loss(p, q, weights).backward()
    assert_close(weights.grad, kl_divergence(p, q) / 4)


def test_free_nats_of_each_row_are_clipped_before_the_mean():
    p, q = Gaussian.from_std(torch.tensor([[0.0], [4.0]]), torch.ones(2, 1)), Gaussian.standard(1)
    assert free_bits(p, q, per_row=3.0) == 5.5
    mean = torch.tensor([[0.5], [4.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(free_bits(Gaussian.from_std(mean, torch.ones(2, 1)), q, per_row=3.0), mean)
    assert slope.tolist() == [[0.0], [2.0]]
    full = Gaussian.from_covariance(torch.zeros(2, 2), 2 * torch.eye(2).expand(2, 2, 2))
    assert free_bits(full, Gaussian.standard(2), per_row=0.1) == kl_divergence(full, Gaussian.standard(2)).mean()


def test_balanced_gradients_may_have_free_nats():
    mean = torch.tensor([[0.5], [4.0]], requires_grad=True)
    prior = torch.zeros(1, requires_grad=True)
    loss = balanced_kl(
        Gaussian.from_std(mean, torch.ones(2, 1)), Gaussian.from_std(prior, torch.ones(1)), balance=0.75, free=1.0
    )
    assert loss == (1.0 + 8.0) / 2
    slopes = torch.autograd.grad(loss, (mean, prior))
    assert slopes[0].tolist() == [[0.0], [0.25 * 4.0 / 2]]
    assert slopes[1].tolist() == [-0.75 * 4.0 / 2]
    with pytest.raises(ValueError, match="free"):
        balanced_kl(Gaussian.standard(1), Gaussian.standard(1), free=-1.0)


@pytest.mark.parametrize("prior", ["standard", "one for all", "each"])
def test_masked_rows_count_for_nothing_whatever_they_hold(prior):
    mean, std = torch.randn(2, 5, 3), torch.rand(2, 5, 3) + 0.5
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    std[mask == 0] = 0.0
    weights = torch.rand(2, 5)
    leaves = [x.requires_grad_() for x in (mean, std)]
    p = Gaussian.from_std(*leaves, validate=False)
    q = {
        "standard": Gaussian.standard(3),
        "one for all": Gaussian.from_std(torch.ones(3), 2.0),
        "each": Gaussian.from_std(torch.ones(2, 5, 3), 2.0),
    }[prior]
    rows = kl_divergence(p, q)[mask == 1]
    for loss, want in (
        (kl_loss(p, q, mask=mask), rows.mean()),
        (kl_loss(p, q, weights, mask=mask), (rows * weights[mask == 1]).mean()),
    ):
        assert_close(loss, want)
        for gradient in torch.autograd.grad(loss, leaves):
            assert torch.isfinite(gradient).all()
            assert (gradient[mask == 0] == 0).all()
            assert (gradient[mask == 1] != 0).all()
    with pytest.raises(ShapeError, match="mask has shape"):
        kl_loss(p, q, mask=mask[0])
    with pytest.raises(ValueError, match="no row"):
        kl_loss(p, q, mask=torch.zeros(2, 5))


@pytest.mark.parametrize("bad", [True, False, np.True_, torch.tensor(True)])
def test_true_is_no_number_of_nats(bad):
    p = Gaussian.standard(1)
    calls = [lambda name=name: free_bits(p, p, **{name: bad}) for name in ("per_row", "after_mean", "per_dimension")]
    for call in (*calls, lambda: balanced_kl(p, p, free=bad), lambda: balanced_kl(p, p, balance=bad)):
        with pytest.raises(TypeError, match=r"is a number of .*, got (True|False)"):
            call()


def test_masked_rows_have_no_part_in_free_bits_and_the_balanced_kl():
    mean, std = torch.randn(2, 5, 3), torch.rand(2, 5, 3) + 0.5
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]])
    std[mask == 0] = 0.0
    leaves = [x.requires_grad_() for x in (mean, std)]
    p, q = Gaussian.from_std(*leaves, validate=False), Gaussian.from_std(torch.ones(3), 2.0)
    left = Gaussian.from_std(mean[mask == 1], std[mask == 1])
    calls = [
        lambda p, **more: balanced_kl(p, q, free=0.5, **more),
        lambda p, **more: free_bits(p, q, per_dimension=0.2, **more),
        lambda p, **more: free_bits(p, q, per_group=0.2, groups=[[0], [1, 2]], **more),
        lambda p, **more: free_bits(p, q, per_row=0.5, **more),
        lambda p, **more: free_bits(p, q, after_mean=0.1, **more),
    ]
    for call in calls:
        value = call(p, mask=mask)
        assert_close(value, call(left))
        for gradient in torch.autograd.grad(value, leaves):
            assert torch.isfinite(gradient).all()
            assert (gradient[mask == 0] == 0).all()
            assert (gradient != 0).any()
        assert_close(call(p, mask=mask.tolist()), value)
        with pytest.raises(ShapeError, match="mask has shape"):
            call(p, mask=mask[0])
        with pytest.raises(ValueError, match="no row"):
            call(p, mask=torch.zeros(2, 5))
        with pytest.raises(ValueError, match=r"0\.5; a row counts"):
            call(p, mask=torch.full((2, 5), 0.5))
