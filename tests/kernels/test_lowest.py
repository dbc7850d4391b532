"""The lowest numbers of rows that come in tiles, by the C library and by torch, against sorting the whole row."""

import pytest
import torch
from torch.testing import assert_close

from kullback.kernels import native_kernel
from kullback.kernels.lowest import lowest


@pytest.fixture(params=["library", "torch"])
def by(request, monkeypatch):
    if request.param == "torch":
        monkeypatch.setattr(native_kernel, "_LIBRARY", None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("width", [1, 64, 77, 1000, 5000])
@pytest.mark.parametrize("count", [1, 14, 40, 1000])
def test_they_are_the_first_of_the_sorted_row(by, dtype, width, count):
    x = torch.randn(5, 3000, dtype=dtype, generator=torch.Generator().manual_seed(0))
    values, columns = lowest(iter([tile.clone() for tile in x.split(width, 1)]), count)
    assert_close(values, x.sort(1).values[:, :count], rtol=0, atol=0)
    assert_close(x.gather(1, columns), values, rtol=0, atol=0)


def test_what_is_no_number_comes_first_and_equal_numbers_are_each_taken_once(by):
    x = torch.ones(2, 500)
    x[0, [70, 499]] = torch.nan
    x[1, 100:110] = torch.inf
    values, columns = lowest(iter([tile.clone() for tile in x.split(130, 1)]), 20)
    assert (values[0, :2] == -torch.inf).all()
    assert set(columns[0, :2].tolist()) == {70, 499}
    assert (values[0, 2:] == 1).all()
    assert (values[1] == 1).all()
    assert all(len(set(row.tolist())) == 20 for row in columns)


def test_infinity_is_taken_where_nothing_else_is_left(by):
    x = torch.full((1, 100), torch.inf)
    x[0, 50] = 0.0
    values, columns = lowest(iter([tile.clone() for tile in x.split(70, 1)]), 90)
    assert values[0, 0] == 0
    assert columns[0].sort().values.unique().numel() == 90
