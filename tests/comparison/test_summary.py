"""The summary of a comparison: merging it in any order and in any batches gives the same numbers."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from kullback import Gaussian
from kullback.comparison.summary import Largest, Pair, RunningMoments, Summary


def test_the_summary_is_a_monoid():
    g = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 2, 500, 4, generator=g, dtype=torch.float64)
    a, b = (Gaussian.from_logvar(mean[i], logvar[i]) for i in range(2))
    prior = Gaussian.standard(4)
    whole = Summary.empty().update(range(500), a, b, prior=prior)

    @given(st.lists(st.integers(0, 500), max_size=6))
    @settings(max_examples=25)
    def split(cuts):
        edges = [0, *sorted(cuts), 500]
        parts = [Summary.empty().update(range(i, j), a[i:j], b[i:j], prior=prior) for i, j in itertools.pairwise(edges)]
        merged = Summary.empty()
        for part in parts:
            merged = merged.merge(part)
        assert merged.count == whole.count
        for which, divergences in whole.divergences.items():
            torch.testing.assert_close(merged.divergences[which].rows, divergences.rows, rtol=0, atol=0)
            torch.testing.assert_close(merged.divergences[which].per_dimension, divergences.per_dimension)
            assert merged.divergences[which].largest.ids == divergences.largest.ids
        for model in "ab":
            torch.testing.assert_close(merged.models[model].means.variance, whole.models[model].means.variance)

    split()


def test_an_infinite_mean_does_not_depend_on_the_size_of_batches():
    mean = torch.zeros(40, 2, dtype=torch.float64)
    mean[2] = 1e200
    a, b, prior = Gaussian.from_std(mean, 1.0), Gaussian.from_std(torch.zeros(40, 2), 1.0), Gaussian.standard(2)
    merged = (
        Summary.empty()
        .update(range(20), a[:20], b[:20], prior=prior)
        .update(range(20, 40), a[20:], b[20:], prior=prior)
    )
    assert merged.divergences["ab"].per_dimension.tolist() == [math.inf, math.inf]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_moments_of_parts_merge_to_those_of_numpy_in_any_order(sizes, order):
    # Of a mean a million times the spread, of which squares of sums would keep four digits.
    rows = 1e6 + np.random.default_rng(0).standard_normal((sum(sizes), 2))
    parts = [RunningMoments.of(part) for part in torch.from_numpy(rows).split(sizes)]
    order.shuffle(parts)
    while len(parts) > 1:
        parts.append(parts.pop().merge(parts.pop(0)))
    (merged,) = parts
    assert merged.count == len(rows)
    np.testing.assert_allclose(merged.mean, rows.mean(0), rtol=1e-15)
    if len(rows) > 1:
        np.testing.assert_allclose(merged.variance, rows.var(0, ddof=1), rtol=1e-8)
    else:
        assert merged.variance.isnan().all()


def test_the_largest_of_parts_are_those_of_the_whole_and_earlier_rows_win_ties():
    values = torch.tensor([3.0, 1.0, 2.0, 3.0] * 5, dtype=torch.float64)
    ids = list(range(20))
    p = Gaussian.from_std(torch.arange(20.0)[:, None], 1.0)
    prior = Gaussian.standard(1)
    whole = Largest.of(values, ids, p, prior, 10)
    assert len(whole.values) == 10
    assert list(whole.ids) == [0, 3, 4, 7, 8, 11, 12, 15, 16, 19]
    for cut in (1, 7, 19):
        one, other = (
            Largest.of(values[part], ids[part], p[part], prior, 10) for part in (slice(cut), slice(cut, None))
        )
        merged = one.merge(other)
        assert (merged.values, merged.ids) == (whole.values, whole.ids)
        assert merged.pair[0].mean.tolist() == [0.0]


def test_the_empty_summary_is_the_identity_and_empty_batches_change_nothing():
    a, b = Gaussian.from_std(torch.zeros(3, 2), 1.0), Gaussian.from_std(torch.ones(3, 2), 2.0)
    prior = Gaussian.standard(2)
    empty, summary = Summary.empty(), Summary.empty().update("xyz", a, b, prior=prior)
    assert (empty.count, summary.count) == (0, 3)
    assert empty.merge(summary) is summary
    assert summary.merge(empty) is summary
    assert summary.update([], a[:0], b[:0], prior=prior) is summary


def test_a_summary_computes_in_float64_and_keeps_rows_in_their_order():
    mean = torch.tensor([[0.0], [2.0], [1.0]], dtype=torch.float16)
    a, b = Gaussian.from_std(mean, 1.0), Gaussian.from_std(np.zeros((3, 1), dtype=np.float32), 1.0)
    found = Summary.empty().update([7, 8, 9], a, b, prior=Gaussian.standard(1)).divergences[Pair.AB]
    assert_close(found.rows, torch.tensor([0.0, 2.0, 0.5], dtype=torch.float64), rtol=0, atol=0)
    assert found.largest.ids == (8, 9, 7)
    assert found.from_variances.mean.tolist() == [0.0]


def test_pairs_equal_their_strings_and_unknown_ones_are_refused():
    assert Pair.AB == "ab"
    assert Pair.rate("b") is Pair.RATE_B
    assert [pair.key for pair in Pair] == ["kl_ab", "kl_ba", "rate_a", "rate_b"]
    assert Pair.BA.label("plain", "beta") == "KL(beta‖plain)"
    assert Pair.RATE_A.label("plain", "beta") == "KL(plain‖prior)"
    with pytest.raises(ValueError, match="expected one of 'ab', 'ba', 'rate_a', 'rate_b', got 'rate_c'"):
        Pair.rate("c")
