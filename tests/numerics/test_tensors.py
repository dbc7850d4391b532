"""The dtype, device and shape of tensors that meet."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from kullback import ShapeError
from kullback.numerics.tensors import (
    broadcast_shapes,
    can_broadcast,
    common_device,
    compute_dtype,
    expand_event,
    no_autocast,
    result_dtype,
    sum_event,
)


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, min_side=0, max_dims=4))
def test_shapes_broadcast_as_in_numpy(drawn):
    assert broadcast_shapes(*drawn.input_shapes) == drawn.result_shape
    assert can_broadcast(*drawn.input_shapes)


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((2, 1, 4), (3, 5)), ((0,), (2,)), ((), (2, 3), (3, 3))])
def test_shapes_that_numpy_does_not_broadcast_are_refused(shapes):
    with pytest.raises(ValueError, match="shape mismatch"):
        np.broadcast_shapes(*shapes)
    assert not can_broadcast(*shapes)
    with pytest.raises(ShapeError, match="shapes do not broadcast: "):
        broadcast_shapes(*shapes)
    with pytest.raises(ShapeError, match="the means differ"):
        broadcast_shapes(*shapes, error=lambda: "the means differ")


DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.mark.parametrize("b", DTYPES)
@pytest.mark.parametrize("a", DTYPES)
def test_dtypes_promote_as_in_torch_and_are_computed_in_float32_at_least(a, b):
    vector, scalar = torch.zeros(2, dtype=a), torch.zeros((), dtype=b)
    assert result_dtype([vector, scalar]) == torch.result_type(vector, scalar) == a
    both = [vector, scalar.expand(2)]
    promoted = torch.promote_types(a, b)
    assert result_dtype(both) == promoted
    assert compute_dtype(both) == (promoted if promoted in (torch.float32, torch.float64) else torch.float32)


def test_of_numbers_alone_the_dtype_is_their_own_or_the_default():
    assert result_dtype([torch.zeros((), dtype=torch.float64), torch.zeros(())]) == torch.float64
    assert result_dtype([]) == torch.get_default_dtype()


def test_tensors_on_two_devices_are_refused_and_numbers_follow():
    here, there = torch.zeros(2), torch.zeros(2, device="meta")
    with pytest.raises(ValueError, match=r"tensors are on cpu and meta\. Move one"):
        common_device([here, there])
    assert common_device([torch.zeros(()), there]).type == "meta"
    assert common_device([]) == torch.get_default_device()


def test_autocast_ends_within_the_context_and_goes_on_after_it():
    x = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with no_autocast(x.device):
            assert (x @ x).dtype == torch.float32
        assert (x @ x).dtype == torch.bfloat16


def test_a_number_for_all_coordinates_is_expanded_over_the_event():
    event = torch.Size((2, 3))
    assert expand_event(torch.ones(()), event).shape == (2, 3)
    assert expand_event(torch.ones(5, 1, 1), event).shape == (5, 2, 3)
    whole = torch.ones(5, 2, 3)
    assert expand_event(whole, event) is whole
    assert sum_event(whole, 2).tolist() == [6.0] * 5
    assert sum_event(whole, 0) is whole
