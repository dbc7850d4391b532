"""Samples of rows that their numbers alone determine."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kullback.numerics.sampling import RowSample, bits_of, level_for


def split_mix(number):
    """The published reference of SplitMix64 in Python's integers, from this state."""
    mask = 2**64 - 1
    z = number * 0x9E3779B97F4A7C15 & mask
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
    return (z ^ (z >> 31)) & mask


def test_bits_are_those_of_splitmix64():
    # The first outputs of the generator seeded with 0, as its authors and others publish them.
    assert [hex(split_mix(i)) for i in (1, 2, 3)] == ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"]
    numbers = torch.tensor([0, 1, 2, 7_812_345, 2**62])
    assert bits_of(numbers).tolist() == [split_mix(n + 1) >> 1 for n in numbers.tolist()]
    assert bits_of(numbers, salt=3).tolist() == [split_mix(n + 4) >> 1 for n in numbers.tolist()]


def sample(first, last, capacity, level=0):
    numbers = torch.arange(first, last)
    return RowSample.of(numbers, [numbers.double() ** 2], capacity, level)


@given(st.lists(st.integers(0, 3000), max_size=6), st.integers(1, 400), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_sample_does_not_depend_on_parts_and_their_order(cuts, capacity, order):
    edges = [0, *sorted(cuts), 3000]
    parts = [sample(a, b, capacity) for a, b in itertools.pairwise(edges)]
    order.shuffle(parts)
    while len(parts) > 1:
        parts.append(parts.pop().merge(parts.pop(0)))
    numbers, (values,) = parts[0].rows()
    want, (want_values,) = sample(0, 3000, capacity).rows()
    assert torch.equal(numbers, want)
    assert torch.equal(values, want_values)
    assert len(numbers) <= capacity
    assert torch.equal(values, numbers.double() ** 2)


def test_up_to_the_capacity_all_rows_are_kept_and_beyond_it_a_half_at_least_on_average():
    numbers, _ = sample(0, 500, 500).rows()
    assert numbers.tolist() == list(range(500))
    sizes = [len(sample(1000 * i, 1000 * i + 501, 500)) for i in range(50)]
    # Binomial(501, 1/2): the mean of 50 is within five of its standard errors.
    assert np.mean(sizes) == pytest.approx(250.5, abs=5 * math.sqrt(501 / 4 / 50))


def test_the_first_rows_of_a_sample_are_those_with_the_least_bits():
    numbers, (values,) = sample(0, 2000, 1000).first(100)
    order = bits_of(torch.arange(2000)).argsort()[:100].sort().values
    assert torch.equal(numbers, order)
    assert torch.equal(values, order.double() ** 2)


def test_a_level_known_before_gives_the_same_sample():
    level = level_for(3000, 400)
    assert level == 3
    parts = [sample(a, a + 1000, 400, level) for a in (0, 1000, 2000)]
    merged = parts[2].merge(parts[0]).merge(parts[1])
    whole = sample(0, 3000, 400)
    if whole.level == level:
        assert torch.equal(merged.rows()[0], whole.rows()[0])
    assert max(part.level for part in parts) >= level


def test_many_merges_leave_few_parts():
    merged = sample(0, 1, 3000)
    for i in range(1, 1000):
        merged = merged.merge(sample(i, i + 1, 3000))
        assert len(merged.numbers) == len(merged.columns[0]) <= 64
    numbers, (values,) = merged.rows()
    assert torch.equal(numbers, torch.arange(1000))
    assert torch.equal(values, numbers.double() ** 2)
