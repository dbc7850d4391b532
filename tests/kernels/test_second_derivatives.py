"""Derivatives of gradients of diagonals, which Fisher-vector products take, are those of the truth."""

import mpmath
import pytest
import torch
from mpmath import mpf
from torch.testing import assert_close
from truth import oracle
from truth.kinds import DIAGONAL, MAKE
from truth.regimes import pair
from truth.scalars import scalars
from truth.twins import operands

from kullback import Gaussian, kl_divergence
from kullback.losses import kl_loss

REGIMES = ("ordinary", "near-identical, 2^-1 ... 2^-50", "nearly collapsed", "means 1e4, std 1e-3")
COUNT = 12


def hessian_parts(x, given):
    """The second derivatives of the divergence of one pair by the means' difference and both scales, and the sizes of
    what they are summed from: from the textbook formula as a function of them, at fifty digits.
    """
    delta, a, b = mpf(x[0]) - mpf(x[2]), mpf(x[1]), mpf(x[3])

    def parts(delta, a, b):
        var_p, var_q = oracle.variance(a, given), oracle.variance(b, given)
        return var_p / var_q / 2, -mpmath.log(var_p / var_q) / 2, delta**2 / var_q / 2

    def moved(*steps):
        return parts(*(v + s * h for v, s, h in zip((delta, a, b), scale, steps, strict=True)))

    orders = [(2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 2, 0), (0, 1, 1), (0, 0, 2)]
    scale = (mpmath.sqrt(oracle.variance(b, given)), *((1, 1) if given == "logvar" else (a, b)))
    found = {}
    for order in orders:
        # In units of the arguments' own sizes, where numerical differentiation loses nothing.
        unit = mpmath.mpf(1)
        for s, k in zip(scale, order, strict=True):
            unit *= s**k
        each = [mpmath.diff(lambda *h, part=part: moved(*h)[part], (0, 0, 0), order) / unit for part in range(3)]
        found[order] = sum(each), sum(abs(v) for v in each)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", DIAGONAL)
@pytest.mark.parametrize("regime", REGIMES)
def test_each_second_derivative_is_within_sixteen_units_in_the_last_place_of_its_parts(body, given, regime, dtype):
    x = [v[:COUNT].clone().requires_grad_() for v in pair(regime, given, dtype)]
    value = kl_divergence(scalars(*x[:2], given), scalars(*x[2:], given))
    first = torch.autograd.grad(value.sum(), x, create_graph=True)
    second = [torch.autograd.grad(g.sum(), x, retain_graph=True, materialize_grads=True) for g in first]
    truths = [hessian_parts([v[i].item() for v in x], given) for i in range(COUNT)]
    # Where each stands among the derivatives by the difference of the means and the scales, and its sign.
    place, sign = (0, 1, 0, 2), (1, 1, -1, 1)
    for i in range(4):
        for j in range(4):
            order = tuple((place[i] == k) + (place[j] == k) for k in range(3))
            want = [sign[i] * sign[j] * t[order][0] for t in truths]
            sizes = [t[order][1] for t in truths]
            if any(sizes):
                assert oracle.ulps(second[i][j].detach(), want, sizes) <= 16, (i, j)
            else:
                assert (second[i][j] == 0).all()


@pytest.mark.parametrize("given", DIAGONAL)
def test_third_derivatives_are_those_of_small_steps(body, given):
    leaves = [v.requires_grad_() for v in operands(2, 2, dtype=torch.float64)]

    def gradients(*v):
        value = kl_divergence(MAKE[given](*v[:2]), MAKE[given](*v[2:]))
        return torch.autograd.grad(value.square().sum(), v, create_graph=True)

    assert torch.autograd.gradgradcheck(gradients, leaves)


def test_a_fisher_vector_product_is_that_of_the_fisher_information(body):
    mean, log_std = torch.randn(5, 3, dtype=torch.float64).requires_grad_(), torch.randn(3, dtype=torch.float64)
    log_std.requires_grad_()
    q = Gaussian.from_std(mean, log_std.exp())
    held = Gaussian.from_std(mean.detach(), log_std.detach().exp())
    weights = torch.rand(5, dtype=torch.float64)
    direction = torch.randn(5, 3, dtype=torch.float64), torch.randn(3, dtype=torch.float64)
    # The Fisher information of a mean is 1 / variance, and that of the logarithm of a standard deviation is 2.
    share = weights[:, None] / 5
    want = share * direction[0] * torch.exp(-2 * log_std.detach()), 2 * share.sum() * direction[1]
    for loss in (kl_loss(held, q, weights), (weights * kl_divergence(held, q)).mean()):
        first = torch.autograd.grad(loss, (mean, log_std), create_graph=True)
        along = sum((g * v).sum() for g, v in zip(first, direction, strict=True))
        assert_close(torch.autograd.grad(along, (mean, log_std), retain_graph=True), want)
