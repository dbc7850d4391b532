"""Rows of a batch that are computed otherwise: only those, where values can be read, and the same everywhere."""

import pytest
import torch
from torch.testing import assert_close

from kullback.numerics.rows import replaced

MATRICES = torch.arange(1.0, 13.0).reshape(3, 2, 2)


@pytest.mark.parametrize("chosen", [[True, False, True], [False] * 3, [True] * 3])
def test_only_the_selected_rows_are_replaced_and_computed(chosen):
    sizes = []

    def trace(x, y):
        sizes.append(len(x))
        return (x @ y).diagonal(dim1=-2, dim2=-1).sum(-1)

    rows, value = torch.tensor(chosen), torch.tensor([-1.0, -2.0, -3.0])
    doubled = torch.tensor([10.0, 26.0, 42.0])  # twice the traces; the second matrix is one for all rows
    got = replaced(value, rows, trace, MATRICES, 2.0 * torch.eye(2))
    assert got.tolist() == torch.where(rows, doubled, value).tolist()
    assert sizes == ([sum(chosen)] if any(chosen) else [])
    assert value.tolist() == [-1.0, -2.0, -3.0]


def test_a_transform_and_a_compiler_select_what_a_plain_call_does():
    def f(x, rows):
        return replaced(x, rows, lambda y: y * y, x)

    rows = torch.tensor([True, False, True])
    want = f(MATRICES, rows)
    assert_close(torch.func.vmap(f)(MATRICES, rows), want, rtol=0, atol=0)
    compiled = torch.compile(f, fullgraph=True, backend="aot_eager")
    assert_close(compiled(MATRICES, rows), want, rtol=0, atol=0)


def test_gradients_flow_through_both_kinds_of_rows():
    x = MATRICES.clone().requires_grad_()
    replaced(3.0 * x, torch.tensor([True, False, True]), lambda y: y * y, x).sum().backward()
    assert_close(x.grad, torch.stack([2 * MATRICES[0], torch.full((2, 2), 3.0), 2 * MATRICES[2]]), rtol=0, atol=0)


def test_a_single_matrix_is_a_batch_of_no_dimensions():
    x = MATRICES[0]
    assert replaced(x, torch.tensor(True), lambda y: 2 * y, x).tolist() == (2 * x).tolist()
    assert replaced(x, torch.tensor(False), lambda y: 2 * y, x) is x
