"""What maps are fitted to: halves of the rows, and moments that add up."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from kullback import Gaussian, kl_divergence
from kullback.alignment.fitting import Fitting, Plan, is_fitted
from kullback.alignment.moments import Moments


def test_one_of_each_two_neighbours_is_fitted_to():
    fitted = is_fitted(torch.arange(10_000)).reshape(-1, 2)
    assert (fitted.sum(1) == 1).all()
    # Which of the two looks random: within five standard errors of one half.
    assert abs(int(fitted[:, 0].sum()) - 2500) < 5 * 5000**0.5 / 2
    numbers = torch.tensor([7, 4, 2**40 + 1])
    assert torch.equal(is_fitted(numbers), torch.stack([is_fitted(n[None])[0] for n in numbers]))


def test_parts_add_up_to_the_moments_of_the_fitted_half_and_the_divergences_of_both():
    g = torch.Generator().manual_seed(0)
    p, q = (Gaussian.from_logvar(*torch.randn(2, 300, 3, generator=g, dtype=torch.float64).unbind()) for _ in range(2))
    there, back, numbers = kl_divergence(p, q), kl_divergence(q, p), torch.arange(300)
    plan = Plan(300, (p.mean[0], q.mean[0]))
    half = is_fitted(numbers)
    want = Moments.of(p[half], q[half], plan.origins)

    @given(st.lists(st.integers(0, 300), max_size=5), st.randoms(use_true_random=False))
    @settings(max_examples=25)
    def split(cuts, order):
        edges = [0, *sorted(cuts), 300]
        parts = [
            Fitting.of(p[a:b], q[a:b], there[a:b], back[a:b], numbers[a:b], plan) for a, b in itertools.pairwise(edges)
        ]
        order.shuffle(parts)
        found = parts[0]
        for part in parts[1:]:
            found = found.merge(part)
        assert found.moments.count == 150
        assert_close(found.moments.second, want.second, rtol=1e-12, atol=1e-12)
        assert_close(found.moments.linear, want.linear, rtol=1e-12, atol=1e-12)
        assert (found.fitted.count, found.unaligned.count) == (150, 150)
        assert abs(found.unaligned.mean / float(there[~half].mean()) - 1) < 1e-13
        assert abs(found.unaligned_reverse.mean / float(back[~half].mean()) - 1) < 1e-13
        assert found.dominant == (float(there[half].max()), int(numbers[half][there[half].argmax()]))

    split()
