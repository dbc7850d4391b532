"""Values from one expression with derivatives from another, and properties that are computed once."""

import torch

from kullback.numerics.gradients import any_requires_grad, with_value
from kullback.numerics.immutable import cached


def test_the_value_is_that_of_one_expression_and_all_derivatives_are_those_of_another():
    x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    both = with_value(x**3, torch.sin(x))
    assert both == torch.sin(x)
    (first,) = torch.autograd.grad(both, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x)
    assert first == 3 * x**2
    assert second == 6 * x


def test_derivatives_are_recorded_if_one_tensor_asks_and_recording_is_on():
    x, y = torch.ones(2), torch.ones(2, requires_grad=True)
    assert any_requires_grad(x, y)
    assert not any_requires_grad(x)
    with torch.no_grad():
        assert not any_requires_grad(x, y)


class Counted:
    def __init__(self):
        self.calls = 0

    @cached
    def shape(self):
        """The answer."""
        self.calls += 1
        return 42


def test_a_cached_property_is_computed_once_for_each_object():
    one, other = Counted(), Counted()
    assert [one.shape, one.shape, other.shape] == [42] * 3
    assert (one.calls, other.calls) == (1, 1)
    assert Counted.shape.__doc__ == "The answer."
