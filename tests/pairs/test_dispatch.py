"""Which form a pair is computed in, and that every form says the same of the same pair."""

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close
from truth import exact, pairs
from truth.kinds import DIAGONAL, KINDS, MATRICES, D, build, operands
from truth.quantities import ULPS

from kullback import Gaussian
from kullback.pairs.base import Float64Pair
from kullback.pairs.diagonal import DiagonalPair
from kullback.pairs.dispatch import (
    RULES,
    covariance_difference,
    diagonal_pair,
    full_pair,
    make_pair,
    marginals,
    select_rule,
)
from kullback.pairs.full import FullPair, PrecisionPair
from kullback.pairs.low_rank import LowRankPair

PER_AXIS, LOW_RANK, PRECISIONS, FACTORS, COVARIANCES = (rule.description for rule in RULES)


def expected(kind_p, kind_q):
    """By the kinds that are not diagonal: of one kind its own form, of two the covariances."""
    others = {kind_p, kind_q} - set(DIAGONAL)
    if len(others) == 2:
        return COVARIANCES
    return {"low_rank": LOW_RANK, "precision": PRECISIONS, "scale_tril": FACTORS, "covariance": COVARIANCES}.get(
        others.pop() if others else "", PER_AXIS
    )


TYPES = {
    PER_AXIS: DiagonalPair,
    LOW_RANK: Float64Pair,
    PRECISIONS: PrecisionPair,
    FACTORS: FullPair,
    COVARIANCES: FullPair,
}


def gaussians(kind_p, kind_q, dtype=torch.float64):
    x = operands(dtype)
    return build(kind_p, *x[:2]), build(kind_q, *x[2:])


@pytest.mark.parametrize("kind_q", KINDS)
@pytest.mark.parametrize("kind_p", KINDS)
def test_the_first_rule_that_takes_the_kinds_makes_the_pair(kind_p, kind_q):
    p, q = gaussians(kind_p, kind_q)
    assert select_rule(p, q).description == expected(kind_p, kind_q)
    assert type(make_pair(p, q)) is TYPES[expected(kind_p, kind_q)]


def test_the_standard_normal_is_a_diagonal_for_every_kind():
    for kind in KINDS:
        p, _ = gaussians(kind, kind)
        assert select_rule(p, Gaussian.standard(D)).description == expected(kind, "std")


def test_only_the_last_rule_takes_every_pair():
    scales = [type(build(kind, *operands()[:2]).scale) for kind in KINDS]
    takes_all = [all(rule.takes(a, b) for a in scales for b in scales) for rule in RULES]
    assert takes_all == [False] * (len(RULES) - 1) + [True]


@pytest.mark.parametrize("kind_q", KINDS)
@pytest.mark.parametrize("kind_p", KINDS)
def test_every_form_has_the_terms_of_the_dense_formula(kind_p, kind_q):
    p, q = gaussians(kind_p, kind_q)
    pair = make_pair(p, q)
    cov_p, cov_q, delta = p.covariance_matrix, q.covariance_matrix, p.mean - q.mean
    trace = torch.linalg.solve(cov_q, cov_p).diagonal(dim1=-2, dim2=-1).sum(-1)
    half_square = 0.5 * (delta * torch.linalg.solve(cov_q, delta)).sum(-1)
    assert_close(pair.half_trace(), 0.5 * trace, rtol=1e-12, atol=0)
    assert_close(pair.mean_term(), half_square, rtol=1e-12, atol=0)
    log_ratio = torch.linalg.slogdet(cov_p).logabsdet - torch.linalg.slogdet(cov_q).logabsdet
    # The dense formula cancels: of terms of the size of 1 it keeps 1e-15 or so.
    assert_close(pair.covariance_term(), 0.5 * (trace - D - log_ratio), rtol=0, atol=1e-13)
    want = kl_divergence(MultivariateNormal(p.mean, cov_p), MultivariateNormal(q.mean, cov_q))
    assert_close(pair.kl(), want, rtol=0, atol=1e-13)
    alpha = 0.3
    between = alpha * cov_q + (1 - alpha) * cov_p
    gap, square = pair.between(alpha)
    logs = (
        torch.linalg.slogdet(between).logabsdet
        - (1 - alpha) * torch.linalg.slogdet(cov_p).logabsdet
        - alpha * torch.linalg.slogdet(cov_q).logabsdet
    )
    assert_close(gap, logs / (2 * (1 - alpha)), rtol=0, atol=1e-13)
    assert_close(square, 0.5 * (delta * torch.linalg.solve(between, delta)).sum(-1), rtol=1e-12, atol=0)


def test_low_rank_pairs_compute_in_float64_and_answer_in_the_dtype_given():
    p, q = gaussians("low_rank", "std", torch.float32)
    pair = make_pair(p, q)
    assert isinstance(pair.pair, LowRankPair)
    assert pair.pair.kl().dtype == torch.float64
    assert pair.kl().dtype == torch.float32
    exact = make_pair(p.to(torch.float64), q.to(torch.float64)).kl()
    assert_close(pair.kl().double(), exact, rtol=4 * torch.finfo(torch.float32).eps, atol=0)


@pytest.mark.parametrize("kind_q", KINDS)
@pytest.mark.parametrize("kind_p", KINDS)
def test_the_difference_of_covariances_is_that_of_the_matrices(kind_p, kind_q):
    p, q = gaussians(kind_p, kind_q)
    difference = covariance_difference(p.scale, q.scale, p.event_shape)
    assert_close(difference, p.covariance_matrix - q.covariance_matrix, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kind", MATRICES)
def test_the_difference_of_near_covariances_keeps_its_digits(kind):
    """A billionth apart: covariances that are formed first and then subtracted keep six digits."""
    rng = np.random.default_rng(0)
    q = pairs.Given(kind, np.zeros(5), pairs.scale_of(kind, rng, 5))
    p = pairs.nearby(q, rng, 2.0**-30)
    want = exact.COVARIANCE[kind](*p.parts) - exact.COVARIANCE[kind](*q.parts)
    found = torch.as_tensor(covariance_difference(p.gaussian().scale, q.gaussian().scale, torch.Size((5,))))
    want = torch.tensor([[float(want[i, j].mid()) for j in range(5)] for i in range(5)], dtype=torch.float64)
    assert (found - want).abs().max() <= ULPS * torch.finfo(torch.float64).eps * want.abs().max()


@pytest.mark.parametrize("kind", KINDS)
def test_a_covariance_that_is_subtracted_from_itself_leaves_exactly_nothing(kind):
    p, _ = gaussians(kind, kind)
    assert (covariance_difference(p.scale, p.scale, p.event_shape) == 0).all()


@pytest.mark.parametrize("kind", MATRICES)
def test_pairs_that_are_not_diagonal_have_a_form_of_matrices(kind):
    p, q = gaussians(kind, "std")
    pair = full_pair(p, q)
    assert isinstance(pair, FullPair)
    assert_close(pair.kl(), make_pair(p, q).kl(), rtol=1e-12, atol=0)


def test_diagonals_of_two_parameterizations_meet_in_one():
    p, q = gaussians("logvar", "variance")
    pair = diagonal_pair(p, q)
    assert pair.p.parameterization == pair.q.parameterization
    assert_close(pair.kl(), make_pair(p, q).kl(), rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_marginals_keep_means_and_variances_and_drop_correlations(kind):
    p, _ = gaussians(kind, kind)
    product = marginals(p)
    assert (product.mean == p.mean).all()
    assert_close(product.covariance_matrix, p.variance.diag_embed(), rtol=1e-14, atol=0)
    if kind in DIAGONAL:
        assert product is p
