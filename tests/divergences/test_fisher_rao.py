"""Bounds of the Fisher–Rao distance."""

from hypothesis import given, settings
from truth.kinds import as_matrices
from truth.strategies import full_pairs

import kullback


@given(full_pairs(("scale_tril", "covariance", "low_rank")))
@settings(max_examples=60)
def test_fisher_rao_bounds_hold_and_do_not_cross(pair):
    p, q = pair
    lower, upper = kullback.fisher_rao_bounds(p, q)
    assert 0 <= lower <= upper
    assert upper <= 3 * lower + 1e-12
    a, b = (kullback.nearest_diagonal(g) for g in (p, q))
    assert kullback.fisher_rao_bounds(a, b).lower == kullback.fisher_rao(a, b)
    # Seen as full covariances, the bounds hold the distance in the family of diagonals from below.
    lower, _ = kullback.fisher_rao_bounds(as_matrices(a), b)
    assert lower <= kullback.fisher_rao(a, b) * (1 + 1e-9)
