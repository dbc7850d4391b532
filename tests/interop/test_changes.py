"""What chains of transforms have in common, and the map between two sigmoids."""

import mpmath
import numpy as np
import pytest
import torch
from torch import distributions as D
from torch.testing import assert_close

from kullback import Gaussian, kl_divergence, wasserstein2
from kullback.interop.changes import BetweenSigmoids, as_one_squashing, split, without_common_end
from kullback.numerics.elementary import log_linear_exp

P = D.Independent(D.Normal(torch.tensor([0.5, -1.0]), torch.tensor([1.0, 2.0])), 1)
Q = D.Independent(D.Normal(torch.tensor([0.0, 1.0]), torch.tensor([1.5, 0.5])), 1)


def images(chain_p, chain_q):
    return D.TransformedDistribution(P, chain_p), D.TransformedDistribution(Q, chain_q)


def test_a_tanh_and_a_sigmoid_to_the_same_bounds_cancel_exactly():
    p, q = images([D.TanhTransform()], [D.SigmoidTransform(), D.AffineTransform(-1.0, 2.0)])
    # Under the sigmoids lie 2 x, of x from P, and Q.
    doubled = D.Independent(D.Normal(2 * P.mean, 2 * P.stddev), 1)
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(doubled, Q))
    scaled = images(
        [D.TanhTransform(), D.AffineTransform(1.0, 3.0)],
        [D.SigmoidTransform(), D.AffineTransform(-1.0, 2.0), D.AffineTransform(1.0, 3.0)],
    )
    assert_close(kl_divergence(*scaled), torch.distributions.kl_divergence(doubled, Q))


def test_what_is_left_before_the_same_end_counts():
    p, q = images([D.AffineTransform(1.0, 3.0), D.ExpTransform()], [D.ExpTransform()])
    moved = D.Independent(D.Normal(1.0 + 3.0 * P.mean, 3.0 * P.stddev), 1)
    assert_close(kl_divergence(p, q), torch.distributions.kl_divergence(moved, Q))
    nested = D.TransformedDistribution(D.TransformedDistribution(P, D.AffineTransform(1.0, 3.0)), D.ExpTransform())
    assert_close(kl_divergence(nested, q), torch.distributions.kl_divergence(moved, Q))
    inside = D.Independent(D.TransformedDistribution(D.Normal(P.mean, P.stddev), p.transforms), 1)
    assert_close(kl_divergence(inside, q), torch.distributions.kl_divergence(moved, Q))
    # Only a change on both sides leaves a divergence alone; a distance in space is another.
    affine = images([D.AffineTransform(1.0, 3.0)], [D.AffineTransform(1.0, 3.0)])
    plain = [Gaussian.from_std(x.mean, x.stddev) for x in (P, Q)]
    assert_close(wasserstein2(*affine), 3.0 * wasserstein2(*plain))


def test_chains_are_compared_part_by_part_from_their_ends():
    tanh, exp, shift = D.TanhTransform(), D.ExpTransform(), D.AffineTransform(1.0, 2.0)
    assert without_common_end([tanh, shift], [exp, shift]) == ([tanh], [exp], [shift])
    assert without_common_end([shift], [shift]) == ([], [], [shift])
    assert without_common_end([tanh], [exp]) == ([tanh], [exp], [])
    left_p, left_q, common = without_common_end([D.AffineTransform(0.0, 1.0), shift, exp], [shift, exp])
    assert (left_p, left_q, common) == ([D.AffineTransform(0.0, 1.0)], [], [shift, exp])
    vector = D.AffineTransform(torch.ones(2), torch.ones(2), event_dim=1)
    assert without_common_end([vector], [tanh])[:2] == ([vector], [tanh])


def test_what_folds_or_has_a_density_of_its_own_is_not_taken_apart():
    assert split(D.HalfNormal(torch.tensor(1.0))) is None
    assert split(D.TransformedDistribution(P, D.AbsTransform())) is None
    assert split(D.Gumbel(torch.tensor(0.0), torch.tensor(1.0))) is None
    assert split(P) is None
    assert split(3.0) is None
    base, chain = split(D.LogNormal(torch.zeros(2), torch.ones(2)))
    assert (type(base), chain) == (D.Normal, [D.ExpTransform()])


BOUNDS = {
    "inside": ((-1.0, 1.0), (-2.0, 3.0)),
    "one bound the same": ((-1.0, 1.0), (-3.0, 1.0)),
    "the other": ((0.5, 1.0), (0.5, 4.0)),
    "turned": ((1.0, -1.0), (-1.0, 2.0)),
    "both turned": ((1.0, -1.0), (2.0, -1.0)),
    "outside": ((-2.0, 3.0), (-1.0, 1.0)),
    "overlapping": ((-1.0, 1.0), (0.0, 2.0)),
}


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("z", [-600.0, -40.0, -3.0, -0.2, 0.0, 0.7, 5.0, 38.0, 700.0])
def test_the_map_between_sigmoids_is_right_however_large_its_argument(bounds, z):
    (low, high), (low_other, high_other) = BOUNDS[bounds]
    between = BetweenSigmoids(
        *(torch.tensor(b, dtype=torch.float64) for b in (low, high, low_other, high_other)), rounding=2.0**-52
    )
    with mpmath.workdps(700):
        u = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        share = (low + (high - low) * u - low_other) / mpmath.mpf(high_other - low_other)
        inside = 0 < share < 1
        if inside:
            want = float(mpmath.log(share / (1 - share)))
            slope = abs(mpmath.mpf(high - low) / (high_other - low_other)) * u * (1 - u) / (share * (1 - share))
            want_slope = float(mpmath.log(slope))
    x = torch.tensor(z, dtype=torch.float64)
    assert bool(between.domain.check(x)) == inside
    if inside:
        y = between(x)
        assert_close(float(y), want, rtol=1e-13, atol=1e-13)
        assert_close(float(between.log_abs_det_jacobian(x, y)), want_slope, rtol=1e-13, atol=1e-12)


def test_bounds_that_differ_by_the_rounding_of_what_they_come_from_are_the_same():
    # 0.4 - 0.3 and 0.5 - 0.4 are 0.1 but for rounding.
    for dtype in (torch.float32, torch.float64, None):
        ends = [[D.TanhTransform(), D.AffineTransform(*(x if dtype is None else torch.tensor(x, dtype=dtype)
                 for x in pair))] for pair in ((0.4, 0.3), (0.5, 0.4))]  # fmt: skip
        between = as_one_squashing(*ends)[0][-1]
        assert bool(between.domain.check(torch.tensor(-300.0, dtype=torch.float64)))
    different = [[D.TanhTransform(), D.AffineTransform(loc, 1.0)] for loc in (0.0, 1e-6)]
    assert not as_one_squashing(*different)[0][-1].domain.check(torch.tensor(-300.0, dtype=torch.float64))


def test_the_logarithm_of_a_linear_function_of_an_exponential_and_its_gradient():
    generator = np.random.default_rng(0)
    for a, b, z in [*generator.normal(size=(40, 3)) * [1.0, 1.0, 30.0], (0.0, 2.0, 900.0), (3.0, 0.0, -900.0)]:
        with mpmath.workdps(800):
            total = mpmath.mpf(a) * mpmath.exp(mpmath.mpf(z)) + mpmath.mpf(b)
            want, share = float(mpmath.log(abs(total))), float(mpmath.mpf(a) * mpmath.exp(mpmath.mpf(z)) / total)
        given = [torch.tensor(x, dtype=torch.float64) for x in (a, b)]
        point = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        value, positive = log_linear_exp(*given, point)
        assert bool(positive) == (total > 0)
        assert_close(float(value.detach()), want, rtol=1e-12, atol=1e-13)
        assert_close(float(torch.autograd.grad(value, point)[0]), share, rtol=1e-10, atol=1e-15)
    value, positive = log_linear_exp(torch.tensor(1.0), torch.tensor(-1.0), torch.tensor(0.0))
    assert (float(value), bool(positive)) == (-torch.inf, False)
