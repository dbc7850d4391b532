"""What holds for every divergence: its record, and the axioms that the record declares."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from truth.kinds import DIAGONAL, as_matrices
from truth.records import FULL, RECORDS, of
from truth.strategies import full_pairs

import kullback
from kullback import Gaussian


@pytest.mark.parametrize("name", RECORDS)
def test_the_record_says_what_it_must(name):
    record = RECORDS[name]
    function = getattr(kullback, record.name)
    assert record.name == function.__name__
    assert function.__module__ == f"kullback.divergences.{record.module}"
    assert record.reference
    assert record.tex
    assert "Reference:" in function.__doc__


@pytest.mark.parametrize("name", FULL)
@given(full_pairs())
@settings(max_examples=60)
def test_values_are_non_negative_and_symmetric_or_bounded_where_declared(name, pair):
    record, function = RECORDS[name], of(name)
    p, q = pair
    value = function(p, q)
    assert value >= 0
    assert not torch.isnan(value)
    if record.bounded:
        assert value <= 1
    if record.symmetric:
        assert_close(function(q, p), value, rtol=1e-6, atol=1e-300)
    assert function(p, p) == 0


def test_what_is_not_declared_symmetric_is_not():
    p, q = Gaussian.from_std([0.0], [1.0]), Gaussian.from_std([0.5], [1.2])
    for name, record in RECORDS.items():
        same = abs(float(of(name)(p, q)) - float(of(name)(q, p))) < 1e-12
        assert same == record.symmetric, name


@pytest.mark.parametrize("name", FULL)
@given(full_pairs(), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_common_map_changes_nothing_where_declared(name, pair, seed):
    p, q = pair
    g = torch.Generator().manual_seed(seed)
    transform, _ = torch.linalg.qr(torch.randn(3, 3, generator=g, dtype=torch.float64))
    if RECORDS[name].invariance == "affine":
        transform = transform * torch.tensor([0.5, 2.0, 4.0])
    shift = torch.randn(3, generator=g, dtype=torch.float64)
    value = of(name)(as_matrices(p), as_matrices(q))
    moved = of(name)(as_matrices(p, shift, transform), as_matrices(q, shift, transform))
    # The map itself rounds means and covariances, which nearby Gaussians feel.
    assert_close(moved, value, rtol=1e-5 if value < 1e-6 else 1e-9, atol=1e-13)


@given(full_pairs(DIAGONAL), st.tuples(*[st.sampled_from([-4.0, 0.25, 1.0, 8.0])] * 3))
@settings(max_examples=40)
def test_of_diagonals_a_common_map_of_each_coordinate_changes_nothing(pair, factors):
    p, q = (Gaussian.from_std(g.mean, g.scale.stds(g.event_shape)) for g in pair)
    factors, shift = torch.tensor(factors, dtype=torch.float64), torch.tensor([0.0, 1.0, -2.0], dtype=torch.float64)
    a, b = (Gaussian.from_std(g.mean * factors + shift, g.scale.value * factors.abs()) for g in (p, q))
    for name in [n for n in RECORDS if RECORDS[n].invariance == "affine"]:
        # Only the shift rounds: by half a unit in the last place of a mean of at most 30, or 4e-15.
        distance = float(of(name)(p, q))
        assert_close(float(of(name)(a, b)), distance, rtol=1e-7 if distance < 1e-6 else 1e-9, atol=1e-13)


@pytest.mark.parametrize("name", [n for n in FULL if RECORDS[n].additive])
@given(full_pairs(("covariance",)), full_pairs(("covariance",)))
@settings(max_examples=30)
def test_independent_blocks_add_up_where_declared(name, one, two):
    joint = [
        Gaussian.from_covariance(torch.cat([a.mean, b.mean]), torch.block_diag(a.scale.matrix, b.scale.matrix))
        for a, b in zip(one, two, strict=True)
    ]
    assert_close(of(name)(*joint), of(name)(*one) + of(name)(*two), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in FULL if RECORDS[n].monotone])
@given(full_pairs(("covariance",)))
@settings(max_examples=40)
def test_marginals_are_no_farther_apart_where_declared(name, pair):
    p, q = (Gaussian.from_covariance(g.mean[:2], g.scale.matrix[:2, :2]) for g in pair)
    whole = of(name)(*pair)
    assert of(name)(p, q) <= whole * (1 + 1e-9)


@pytest.mark.parametrize("name", [n for n in RECORDS if RECORDS[n].metric])
@given(full_pairs(), full_pairs())
@settings(max_examples=40)
def test_metrics_obey_the_triangle_inequality(name, one, two):
    a, b, c = one[0], one[1], two[0]
    if RECORDS[name].diagonal_only:
        a, b, c = (kullback.nearest_diagonal(g) for g in (a, b, c))
    f = of(name)
    assert f(a, c) <= (f(a, b) + f(b, c)) * (1 + 1e-12)


@given(full_pairs(("scale_tril",), distances=(1.0, 3.0)))
@settings(max_examples=40)
def test_parameterizations_of_one_gaussian_agree(pair):
    p, q = pair
    forms = [
        [g, as_matrices(g), Gaussian.from_precision(g.mean, torch.cholesky_inverse(g.scale.factor))] for g in (p, q)
    ]
    for name in FULL:
        want = of(name)(p, q)
        for a in forms[0]:
            for b in forms[1]:
                assert_close(of(name)(a, b), want, rtol=1e-9, atol=0)
