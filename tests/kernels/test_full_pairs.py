"""Every kernel of full pairs is the formula's twin: values, gradients, layouts, threads and matrices that are none."""

import pytest
import torch
from torch.testing import assert_close
from truth import exact, pairs
from truth.twins import FULL, both, check_full_pairs, full_divergence, full_operands, full_selection

from kullback import kernels


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 16, 31, 32, 33, 40, 47, 64, 89])
def test_full_pairs_have_the_formulas_values_and_gradients(body, n, kind):
    check_full_pairs(body, n, kind)


@pytest.mark.parametrize("kind", FULL)
@pytest.mark.parametrize("n", [5, 8, 32, 33, 48])
def test_full_pairs_are_as_exact_on_machines_with_fewer_instructions(older_machine, n, kind):
    check_full_pairs("native", n, kind)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [8, 20, 33, 50])
def test_nearly_equal_covariances_of_many_coordinates_keep_their_digits(body, n, dtype):
    mean, cov, _, _ = (v.to(dtype) for v in full_operands(1, n, "covariance"))
    same = cov.tril() + cov.tril(-1).mT
    assert full_divergence(mean, same, mean, same, "covariance").item() == 0.0
    for step in (1e-3, 1e-5):
        moved = cov + step * cov[:, :, :1] * cov[:, :1, :]
        cov, moved = (v.tril() + v.tril(-1).mT for v in (cov, moved))
        p, q = (pairs.Given("covariance", m[0].numpy(), (c[0].numpy(),)) for m, c in ((mean, cov), (mean, moved)))
        truth = exact.kl(pairs.exact_pair(p, q))
        (got,) = full_divergence(mean, cov, mean, moved, "covariance").tolist()
        assert abs(exact.number(got) - truth) <= 450 * torch.finfo(dtype).eps * abs(truth)


@pytest.mark.parametrize("n", [3, 35])
@pytest.mark.parametrize("kind", FULL)
def test_full_pairs_broadcast_and_lie_as_they_like(body, by_formula, n, kind):
    a, b, c, d = full_operands(6, n, kind)
    cases = [
        (a, b, c[0], d[0]),
        (a, b[:1], c, d[0]),
        (a[:, None], b[:, None], c[:2], d[:2]),
        (a, b.mT.contiguous().mT, c.expand(2, 6, n), d),
        (a[::2], b[::2], c[::2], d[::2]),
        (a[0], b[0], c[0], d[0]),
        (a, b, a, b),
    ]
    for x in cases:
        for wanted in ((0, 1, 2, 3), (1,), (2,), ()):
            leaves = [v.detach().requires_grad_() if i in wanted else v for i, v in enumerate(x)]
            (value, found), (want, truths) = both(lambda *v: full_divergence(*v, kind), leaves, by_formula)
            assert_close(value, want, rtol=1e-12, atol=0)
            for got, truth in zip(found, truths, strict=True):
                assert_close(got, truth, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", FULL)
def test_second_derivatives_of_full_pairs_are_those_of_small_steps(body, kind):
    leaves = [v.requires_grad_() for v in full_operands(2, 3, kind)]
    assert torch.autograd.gradgradcheck(lambda *v: full_divergence(*v, kind), leaves)


@pytest.mark.parametrize("kind", FULL)
def test_a_matrix_that_no_gaussian_has_gives_nan_in_its_own_row_only(body, kind):
    for n in (2, 3, 9, 36):
        x = full_operands(10, n, kind)
        x[1][4] = -torch.eye(n)
        assert torch.isnan(full_divergence(*x, kind)).nonzero().flatten().tolist() == [4]
        x = full_operands(10, n, kind)
        x[0][7, 0] = torch.nan
        assert torch.isnan(full_divergence(*x, kind)).nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("n", [8, 40])
def test_full_pairs_are_the_same_by_any_number_of_threads(body, n):
    before = torch.get_num_threads()
    x = full_operands(3000 if n == 8 else 30, n, "covariance")
    step = len(x[0]) // 15
    parts = [[v[i : i + step] for v in x] for i in range(0, len(x[0]), step)]
    want = torch.cat([full_divergence(*part, "covariance") for part in parts])
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            assert_close(full_divergence(*x, "covariance"), want, rtol=0, atol=0)
    finally:
        torch.set_num_threads(before)


def test_the_largest_full_pairs_are_left_to_the_linear_algebra_of_torch(by_formula):
    x = full_operands(1, 513, "covariance", torch.float32)
    want = by_formula(full_divergence, *x, "covariance")
    with kernels.use(None):
        assert full_selection(x, "covariance").backend == "torch"
        assert_close(full_divergence(*x, "covariance"), want, rtol=450 * torch.finfo(torch.float32).eps, atol=0)
