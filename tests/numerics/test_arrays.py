"""NumPy arrays, lists and numbers in; NumPy out where nothing else came in."""

import numpy as np
import pytest
import torch

from kullback.numerics.arrays import ArrayKind, common_array_kind, from_numpy, to_callers_type, to_tensor


@pytest.mark.parametrize(
    ("given", "dtype", "kind"),
    [
        (torch.zeros(2, dtype=torch.float64), torch.float64, ArrayKind.TORCH),
        (torch.zeros(2, dtype=torch.bfloat16), torch.bfloat16, ArrayKind.TORCH),
        (torch.zeros(2, dtype=torch.int32), torch.float32, ArrayKind.TORCH),
        (np.zeros(2, dtype=np.float32), torch.float32, ArrayKind.NUMPY),
        (np.zeros(2, dtype=">f8"), torch.float64, ArrayKind.NUMPY),
        (np.zeros(2, dtype=np.uint8), torch.float64, ArrayKind.NUMPY),
        (np.float64(0.0), torch.float64, ArrayKind.NUMPY),
        ([0.0, 0.0], torch.float64, ArrayKind.NUMPY),
        (((0, 0), (0, 0)), torch.float64, ArrayKind.NUMPY),
    ],
)
def test_tensors_arrays_and_lists_become_floating_tensors(given, dtype, kind):
    tensor, found = to_tensor(given, "x")
    assert tensor.dtype == dtype
    assert found is kind
    assert (tensor == 0).all()


def test_a_python_number_stays_a_number():
    for number in (2, 2.0):
        assert to_tensor(number, "x") == (2.0, ArrayKind.ANY)


def test_what_torch_can_hold_as_it_lies_is_not_copied():
    array = np.arange(6.0).reshape(2, 3)
    tensor, _ = to_tensor(array.T, "x")
    array[1, 2] = 7.0
    assert tensor[2, 1] == 7.0
    same = torch.zeros(2)
    assert to_tensor(same, "x")[0] is same


def test_what_torch_cannot_hold_as_it_lies_is_copied():
    read_only = np.arange(3.0)
    read_only.flags.writeable = False
    for array in (read_only, np.arange(3.0)[::-1], np.arange(3.0).astype(">f8")):
        tensor = from_numpy(array)
        assert tensor.tolist() == array.tolist()
        tensor[0] = 9.0
        assert 9.0 not in array


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        (torch.zeros(2, dtype=torch.complex64), TypeError, r"x must be .* got torch\.complex64"),
        (torch.zeros(2, dtype=torch.bool), TypeError, r"got torch\.bool"),
        (np.zeros(2, dtype=bool), TypeError, "array of dtype bool"),
        (np.zeros(2, dtype=complex), TypeError, "array of dtype complex128"),
        (["a"], TypeError, "must hold real numbers"),
        ("a", TypeError, "got str"),
        (True, TypeError, "got bool"),
        (None, TypeError, "got NoneType"),
        ([torch.zeros(2)], TypeError, r"torch\.stack\(x\)"),
        ([[0.0], [0.0, 1.0]], ValueError, "x is no rectangular array"),
    ],
)
def test_what_holds_no_real_numbers_is_refused_by_name(given, error, says):
    with pytest.raises(error, match=says):
        to_tensor(given, "x")


MASKED = np.ma.masked_array([0.0, 1e9], mask=[0, 1])


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (MASKED, r"^x is a masked array, 1 of whose 2 values"),
        ([np.ma.masked_array([1.0, 2.0]), MASKED], r"^x\[1\] is a masked array, 1 of whose 2 values"),
        ([([0.0, 1.0],), (MASKED,)], r"^x\[1\]\[0\] is a masked array"),
        ([0.0, np.ma.masked], r"^x\[1\] is a masked array"),
    ],
)
def test_masked_arrays_are_refused_also_in_lists(given, says):
    with pytest.raises(TypeError, match=says):
        to_tensor(given, "x")
    assert to_tensor([np.ma.masked_array([1.0, 2.0])], "x")[0].tolist() == [[1.0, 2.0]]


@pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors")
def test_masked_tensors_are_refused():
    masked = torch.masked.masked_tensor(torch.zeros(3), torch.tensor([True, False, True]))
    with pytest.raises(TypeError, match=r"1 of whose 3 values are masked.*x\.to_tensor"):
        to_tensor(masked, "x")


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="long doubles are doubles on this system")
def test_numbers_longer_than_a_double_are_refused():
    with pytest.raises(TypeError, match="Convert it to float64"):
        to_tensor(np.zeros(2, dtype=np.longdouble), "x")


def test_a_tensor_among_the_arguments_makes_tensors_and_numbers_have_no_say():
    assert common_array_kind([]) is ArrayKind.ANY
    assert common_array_kind([ArrayKind.ANY, ArrayKind.ANY]) is ArrayKind.ANY
    assert common_array_kind([ArrayKind.ANY, ArrayKind.NUMPY]) is ArrayKind.NUMPY
    assert common_array_kind([ArrayKind.NUMPY, ArrayKind.TORCH, ArrayKind.ANY]) is ArrayKind.TORCH


def test_results_are_arrays_only_where_an_array_can_hold_them():
    x = torch.ones(2)
    assert isinstance(to_callers_type(x, ArrayKind.NUMPY), np.ndarray)
    for kind in (ArrayKind.TORCH, ArrayKind.ANY):
        assert to_callers_type(x, kind) is x
    for other in (torch.ones(2, requires_grad=True), torch.ones(2, device="meta")):
        assert to_callers_type(other, ArrayKind.NUMPY) is other
    seen = []
    torch.func.vmap(lambda row: seen.append(to_callers_type(row, ArrayKind.NUMPY)) or row)(x)
    assert isinstance(seen[0], torch.Tensor)
