"""Screening: whatever the scores are, results are exact, and only what is uncertain is computed again."""

import math

import pytest
import torch
from torch.testing import assert_close

from kullback.numerics.screened import nearest_by_scores, recompute, smallest


@pytest.mark.parametrize("m", [5, 64, 640, 6400, 6437])
def test_the_smallest_in_two_steps_are_those_in_one(m):
    x = torch.randn(20, m, generator=torch.Generator().manual_seed(0))
    for k in (1, 3):
        values, indices = smallest(x, k)
        want = x.topk(k, largest=False)
        assert_close(values, want.values, rtol=0, atol=0)
        assert_close(indices, want.indices)
    x[:, ::2] = math.inf
    assert_close(smallest(x, 2)[0], x.topk(2, largest=False).values, rtol=0, atol=0)


def table(n, m):
    return torch.randn(n, m, generator=torch.Generator().manual_seed(0))


def test_uncertain_entries_alone_are_replaced_and_rows_full_of_them_as_a_whole():
    exact = table(6, 64)
    uncertain = torch.zeros(6, 64, dtype=torch.bool)
    uncertain[1, 7] = uncertain[1, 9] = uncertain[5, 0] = True
    uncertain[3] = True
    values = torch.full_like(exact, torch.inf)
    rows_asked, entries_asked = [], []

    def whole_rows(rows):
        rows_asked.extend(rows.tolist())
        return exact[rows]

    def entries(i, j):
        assert len(i) <= 2
        entries_asked.extend(zip(i.tolist(), j.tolist(), strict=True))
        return exact[i, j]

    recompute(values, uncertain, whole_rows, entries, rows_at_once=1, entries_at_once=2)
    assert rows_asked == [3]
    assert entries_asked == [(1, 7), (1, 9), (5, 0)]
    assert_close(values[uncertain], exact[uncertain], rtol=0, atol=0)
    assert torch.isinf(values[~uncertain]).all()


@pytest.mark.parametrize("noise", [0.0, 1e-3, 10.0])
@pytest.mark.parametrize("k", [1, 5])
def test_the_nearest_are_exact_however_wrong_the_scores_are(k, noise):
    exact = table(20, 300)
    error = noise * (2 * torch.rand(20, 300, generator=torch.Generator().manual_seed(1)) - 1)
    scores, asked = exact + error, []

    def whole_rows(rows):
        asked.extend(rows.tolist())
        return exact[rows]

    values, columns = nearest_by_scores(
        *scores.topk(k + 8, largest=False),
        k,
        300,
        exact=lambda chosen: exact.gather(1, chosen),
        settled=lambda last, kth: last - noise > kth,
        whole_rows=whole_rows,
        rows_at_once=3,
    )
    want = exact.topk(k, largest=False)
    assert_close(values, want.values, rtol=0, atol=0)
    assert (columns == want.indices).all()
    # Exact scores settle every row; with errors that hide every difference none is settled.
    assert sorted(asked) == {0.0: [], 1e-3: [], 10.0: list(range(20))}[noise]
