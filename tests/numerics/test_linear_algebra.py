"""Factors and solves: what linear algebra says of them, and NaN in the row of a matrix that has none."""

import torch
from torch.testing import assert_close

from kullback.numerics.linear_algebra import (
    cholesky,
    finite_or_zero,
    identity_like,
    lower_factor,
    solve_lower,
    solve_lower_vector,
    solve_upper,
    symmetrized,
    whitened,
)


def matrices(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def positive_definite(batch, d, seed=0):
    noise = matrices(batch, d, d, seed=seed)
    return noise @ noise.mT + torch.eye(d, dtype=torch.float64)


def test_a_matrix_that_is_not_positive_definite_has_a_factor_of_nan_and_no_exception():
    a = positive_definite(3, 4)
    a[1] = -a[1]
    factor = cholesky(a)
    assert torch.isnan(factor[1]).all()
    for i in (0, 2):
        assert_close(factor[i] @ factor[i].mT, a[i], rtol=1e-14, atol=1e-14)
        assert (factor[i].triu(1) == 0).all()


def test_solves_undo_products_with_triangular_matrices():
    lower = positive_definite(3, 4).tril()
    x, columns = matrices(3, 4), matrices(3, 4, 2)
    assert_close(solve_lower_vector(lower, (lower @ x[..., None])[..., 0]), x, rtol=1e-12, atol=1e-12)
    assert_close(solve_lower(lower, lower @ columns), columns, rtol=1e-12, atol=1e-12)
    assert_close(solve_upper(lower.mT, lower.mT @ columns), columns, rtol=1e-12, atol=1e-12)


def test_a_whitened_matrix_is_seen_in_the_coordinates_of_the_factor():
    a, b = positive_definite(3, 4), positive_definite(3, 4, seed=1)
    factor = torch.linalg.cholesky(b)
    inverse = torch.linalg.inv(factor)
    assert_close(whitened(a, factor), inverse @ a @ inverse.mT, rtol=1e-12, atol=1e-12)
    assert_close(whitened(b, factor), torch.eye(4, dtype=torch.float64).expand(3, 4, 4), rtol=1e-12, atol=1e-12)
    assert (whitened(a, factor) == whitened(a, factor).mT).all()


def test_the_factor_of_a_product_is_found_without_the_product():
    rows = matrices(3, 6, 4)
    factor = lower_factor(rows)
    assert (factor.triu(1) == 0).all()
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    assert_close(factor @ factor.mT, rows.mT @ rows, rtol=1e-13, atol=1e-13)
    # Of a condition of 1e20, of which the product would keep nothing.
    steep = torch.tensor([[1.0, 1.0], [0.0, 1e-10]], dtype=torch.float64)
    want = torch.tensor([[1.0, 0.0], [1.0, 1e-10]], dtype=torch.float64)
    assert_close(lower_factor(steep), want, rtol=1e-14, atol=0)


def test_only_matrices_with_a_nan_or_infinity_become_zero():
    a = torch.ones(3, 2, 2)
    a[0, 1, 0], a[2, 0, 0] = torch.nan, -torch.inf
    assert finite_or_zero(a).sum((-2, -1)).tolist() == [0.0, 4.0, 0.0]


def test_a_symmetrized_matrix_is_symmetric_in_its_gradient():
    a = matrices(4, 4).requires_grad_()
    (slope,) = torch.autograd.grad((symmetrized(a) * torch.arange(16.0).reshape(4, 4)).sum(), a)
    assert (slope == slope.mT).all()
    assert (identity_like(a.detach().half()) == torch.eye(4, dtype=torch.float16)).all()
