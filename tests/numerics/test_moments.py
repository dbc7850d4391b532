"""Moments of values that are accumulated in parts: those of NumPy in extended precision."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kullback.numerics.moments import RunningMean, ValueMoments


def merged(parts):
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.sampled_from([1e-150, 1.0, 1e100, 1e200, 1e306]))
@settings(max_examples=60)
def test_mean_and_standard_error_of_parts_of_any_size(sizes, scale):
    values = scale * (1 + np.random.default_rng(0).random(sum(sizes)))
    found = merged([ValueMoments.of(part) for part in torch.from_numpy(values).split(sizes)])
    assert found.count == len(values)
    if not len(values):
        assert math.isnan(found.mean)
        return
    exact = (values / scale).astype(np.longdouble)
    assert found.mean == pytest.approx(float(exact.mean()) * scale, rel=1e-14)
    if len(values) > 1:
        # Squares of small values may underflow; those of large ones do not overflow.
        want = float(exact.std(ddof=1) / np.sqrt(np.longdouble(len(values)))) * scale
        assert found.standard_error == pytest.approx(want, rel=1e-9)
    else:
        assert math.isnan(found.standard_error)


def test_values_that_are_not_finite_stay_so():
    finite, infinite, unknown = (torch.tensor(x, dtype=torch.float64) for x in ([1.0, 2.0], [math.inf], [math.nan]))
    found = merged([ValueMoments.of(x) for x in (finite, infinite)])
    assert found.mean == math.inf
    assert math.isnan(found.standard_error)
    assert math.isnan(merged([ValueMoments.of(x) for x in (finite, unknown)]).mean)


def test_large_and_ordinary_parts_are_brought_to_one_unit():
    large, ordinary = torch.tensor([1e305, 3e305], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    for parts in ((large, ordinary), (ordinary, large)):
        assert merged([ValueMoments.of(x) for x in parts]).mean == pytest.approx(1e305, rel=1e-14)


def test_a_mean_of_no_rows_changes_nothing():
    rows = torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=torch.float64)
    for parts in ((rows, rows[:0]), (rows[:0], rows)):
        assert merged([RunningMean.of(x) for x in parts]).mean.tolist() == [2.0, 4.0]
