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
from kullback.comparison.divergence_summary import Largest
from kullback.comparison.pair import Pair
from kullback.comparison.summary import Summary
from kullback.io.rows import NONE_SKIPPED, RowBatch
from kullback.numerics.moments import RunningMoments

PRIOR = Gaussian.standard(4)


def batch(*gaussians, first=0, ids=None):
    count = len(gaussians[0])
    ids = range(first, first + count) if ids is None else ids
    return RowBatch(torch.arange(first, first + count), ids, gaussians, NONE_SKIPPED)


def test_the_summary_is_a_monoid():
    g = torch.Generator().manual_seed(0)
    mean, logvar = torch.randn(2, 2, 500, 4, generator=g, dtype=torch.float64)
    a, b = (Gaussian.from_logvar(mean[i], logvar[i]) for i in range(2))
    whole = Summary.empty().update(batch(a, b), PRIOR)

    @given(st.lists(st.integers(0, 500), max_size=6), st.randoms(use_true_random=False))
    @settings(max_examples=25)
    def split(cuts, order):
        edges = [0, *sorted(cuts), 500]
        parts = [Summary.empty().update(batch(a[i:j], b[i:j], first=i), PRIOR) for i, j in itertools.pairwise(edges)]
        order.shuffle(parts)
        merged = Summary.empty()
        for part in parts:
            merged = merged.merge(part)
        assert merged.count == whole.count
        for which, divergences in whole.divergences.items():
            torch.testing.assert_close(merged.rows(which), whole.rows(which), rtol=0, atol=0)
            assert merged.divergences[which].values.mean == pytest.approx(divergences.values.mean, rel=1e-14)
            torch.testing.assert_close(merged.divergences[which].per_dimension, divergences.per_dimension)
            assert merged.divergences[which].largest.ids == divergences.largest.ids
        for model in "ab":
            torch.testing.assert_close(merged.models[model].means.variance, whole.models[model].means.variance)

    split()


def test_an_infinite_mean_does_not_depend_on_the_size_of_batches():
    mean = torch.zeros(40, 2, dtype=torch.float64)
    mean[2] = 1e200
    a, b, prior = Gaussian.from_std(mean, 1.0), Gaussian.from_std(torch.zeros(40, 2), 1.0), Gaussian.standard(2)
    merged = Summary.empty().update(batch(a[:20], b[:20]), prior).update(batch(a[20:], b[20:], first=20), prior)
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
    ids = [str(i) for i in range(20)]
    numbers = torch.arange(20)
    whole = Largest.of(values, ids, numbers, 10)
    assert len(whole.values) == 10
    assert whole.numbers == (0, 3, 4, 7, 8, 11, 12, 15, 16, 19)
    assert whole.ids == tuple(map(str, whole.numbers))
    for cut in (1, 7, 19):
        one, other = (Largest.of(values[part], ids[part], numbers[part], 10) for part in (slice(cut), slice(cut, None)))
        assert one.merge(other) == other.merge(one) == whole


def test_the_empty_summary_is_the_identity_and_empty_batches_change_nothing():
    a, b = Gaussian.from_std(torch.zeros(3, 2), 1.0), Gaussian.from_std(torch.ones(3, 2), 2.0)
    prior = Gaussian.standard(2)
    empty, summary = Summary.empty(), Summary.empty().update(batch(a, b, ids="xyz"), prior)
    assert (empty.count, summary.count) == (0, 3)
    assert empty.merge(summary).divergences.keys() == summary.merge(empty).divergences.keys() == set(Pair)
    assert summary.update(batch(a[:0], b[:0]), prior).count == 3


def test_a_summary_computes_in_float64_and_keeps_rows_in_their_order():
    mean = torch.tensor([[0.0], [2.0], [1.0]], dtype=torch.float16)
    a, b = Gaussian.from_std(mean, 1.0), Gaussian.from_std(np.zeros((3, 1), dtype=np.float32), 1.0)
    summary = Summary.empty().update(batch(a, b, ids=[7, 8, 9]), Gaussian.standard(1))
    found = summary.divergences[Pair.AB]
    assert_close(summary.rows(Pair.AB), torch.tensor([0.0, 2.0, 0.5], dtype=torch.float64), rtol=0, atol=0)
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
