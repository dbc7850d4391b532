"""Whether the values or the memory of a tensor may be read, and why not."""

import pytest
import torch
from torch.nn import Parameter
from torch.utils._python_dispatch import TorchDispatchMode

from kullback.numerics.guard import is_concrete, why_not_raw_memory

X = torch.ones(3)


class Passing(TorchDispatchMode):
    def __torch_dispatch__(self, f, types, args=(), kwargs=None):
        return f(*args, **(kwargs or {}))


class Doubled(torch.Tensor):
    """A subclass, of which only its author knows what its memory means."""


def test_plain_tensors_and_parameters_may_be_read():
    for x in (X, Parameter(X), X.double(), X[::2]):
        assert is_concrete(x)
        assert why_not_raw_memory([x, x]) is None


TENSORS = {
    "a tensor of type Doubled": lambda: X.as_subclass(Doubled),
    "a tensor on meta": lambda: X.to("meta"),
    "dtypes other than float32 or float64": lambda: X.half(),
    "without plain memory": lambda: torch.complex(X, -X).conj().imag,
    "plain memory": lambda: torch.eye(3).to_sparse(),
}


@pytest.mark.parametrize("reason", TENSORS)
def test_memory_that_may_not_be_read_is_named(reason):
    assert reason in why_not_raw_memory([TENSORS[reason]()])


def test_tensors_of_two_dtypes_may_not_be_read_together():
    assert "throughout" in why_not_raw_memory([X, X.double()])


def test_values_of_subclasses_and_meta_tensors_may_not_be_read():
    assert not is_concrete(X.as_subclass(Doubled))
    assert not is_concrete(X.to("meta"))


def asked(found):
    """A function of one tensor that notes what the guard says of it."""

    def f(x):
        found.append((is_concrete(x), why_not_raw_memory([x])))
        return x * 1.0

    return f


def test_under_transforms_modes_and_tracing_the_reason_is_the_transform():
    found = []
    torch.func.vmap(asked(found))(X)
    torch.func.grad(lambda x: asked(found)(x).sum())(X)
    assert found == [(False, "inside a torch.func transform")] * 2
    found.clear()
    with torch.autograd.forward_ad.dual_level():
        asked(found)(X)
    assert found == [(True, "inside a level of forward-mode differentiation")]
    found.clear()
    with Passing():
        asked(found)(X)
    assert found == [(False, "a dispatch or function mode is on")]


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
def test_under_a_trace_values_may_not_be_read():
    found = []
    torch.jit.trace(asked(found), (X,), check_trace=False)
    assert found == [(False, "torch.jit.trace is tracing")]


def test_under_compilation_values_may_not_be_read():
    def f(x):
        return x + (1.0 if is_concrete(x) else 2.0)

    assert torch.compile(f, fullgraph=True, backend="eager")(X).tolist() == [3.0] * 3
