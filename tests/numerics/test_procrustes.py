"""The best rotation and the square at it: closed forms, ball arithmetic, and what the error bounds promise."""

import numpy as np
import pytest
import torch
from flint import arb
from torch.testing import assert_close
from truth import exact, pairs

from kullback.numerics.procrustes import Rotation, square_by_norms

ULPS = 450


def factors(rng, d, condition, step):
    """Two lower triangular factors, at this distance in their own units."""
    a = pairs.factor(rng, d, condition)
    return a + step * a @ np.tril(rng.standard_normal((d, d))) / d, a


def true_square(a, b):
    """By the square root of ``exact.py``, of matrices taken as they are rounded."""
    zero = exact.column(np.zeros(len(a)))
    products = [exact.matrix(x) * exact.matrix(x).transpose() for x in (a, b)]
    return exact.wasserstein2_squared(exact.Pair(zero, products[0], zero, products[1]))


def test_the_rotation_turns_one_factor_onto_the_other():
    angle = 0.3
    turned = torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float64)
    b = torch.tensor([[2.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
    rotation = Rotation.of(b.mT @ (b @ turned))
    assert_close(rotation.matrix(), turned, rtol=1e-14, atol=1e-14)
    assert rotation.turn(torch.zeros_like(b)) == 0


@pytest.mark.parametrize(("dtype", "d"), [("float64", 6), ("float32", 6), ("float64", 32)])
def test_what_is_called_accurate_is_so_and_what_is_far_is_called_accurate(dtype, d):
    rng, eps = np.random.default_rng(0), float(np.finfo(dtype).eps)
    called = {}
    for condition in (1e1, 1e4, 1e8, 1e12):
        for step in (1e-12, 1e-6, 1e-3, 1e-1, 1.0, 10.0):
            a, b = (x.astype(dtype) for x in factors(rng, d, condition, step))
            square, accurate = square_by_norms(torch.tensor(a)[None], torch.tensor(b)[None], ULPS)
            called[condition, step] = bool(accurate)
            if accurate:
                want = true_square(a, b)
                assert float(abs(arb(float(square)) - want).upper()) <= ULPS * eps * float(want), (condition, step)
    # Half of the digits are lost at a thousandth, all of them at a millionth.
    assert not any(known for (_, step), known in called.items() if step <= 1e-3)
    assert all(known for (_, step), known in called.items() if step >= 10.0)


def test_singular_matrices_and_numbers_at_the_ends_of_the_range_are_no_exception():
    a = torch.eye(3, dtype=torch.float64).repeat(5, 1, 1)
    b = 3.0 * a
    b[0, 2, 2] = 0.0  # ‖diag(1, 1, 1) − diag(3, 3, 0)‖² = 9
    a[1], b[1] = 1e150 * a[1], 1e150 * b[1]  # 12e300
    a[2], b[2] = 1e-170 * a[2], 1e-170 * b[2]  # a square that no number holds
    a[3, 0, 0] = torch.nan
    square, accurate = square_by_norms(a, b, ULPS)
    assert accurate.tolist() == [True, True, False, False, True]
    assert_close(square[[0, 1, 4]], torch.tensor([9.0, 12e300, 12.0], dtype=torch.float64), rtol=1e-14, atol=0)
