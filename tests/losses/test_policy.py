"""Terms of the divergence of a policy, against fifty digits and against sums over all outcomes."""

import mpmath
import numpy as np
import pytest
import torch
from torch.testing import assert_close
from truth import oracle

from kullback.losses import k1, k2, k3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_k3_and_its_gradient_are_right_to_the_last_digits(dtype):
    g = torch.Generator().manual_seed(0)
    near = 2.0 ** -torch.randint(0, 60, (200,), generator=g).double() * torch.randn(
        200, generator=g, dtype=torch.float64
    )
    far = 60.0 * torch.randn(100, generator=g, dtype=torch.float64)
    d = torch.cat([near, far, torch.tensor([0.0, -1e4])]).to(dtype)
    d = d[d < (88.0 if dtype == torch.float32 else 700.0)].requires_grad_()
    value = k3(d)
    with mpmath.workdps(80):
        at = [mpmath.mpf(x) for x in d.tolist()]
        assert oracle.ulps(value.detach(), [mpmath.exp(x) - 1 - x for x in at]) <= 4
        (slope,) = torch.autograd.grad(value.sum(), d)
        assert oracle.ulps(slope, [mpmath.exp(x) - 1 for x in at]) <= 4
    assert (value >= 0).all()
    assert value[-2] == 0


def test_it_overflows_to_infinity_and_half_precision_is_computed_in_float32():
    assert k3(torch.tensor([89.0, -torch.inf, torch.nan])).tolist()[:2] == [torch.inf, torch.inf]
    for dtype in (torch.float16, torch.bfloat16):
        d = torch.tensor([0.01, -1.0, 20.0], dtype=dtype, requires_grad=True)
        value = k3(d)
        assert value.dtype == torch.float32
        assert_close(value, k3(d.float()), rtol=0, atol=0)
        assert torch.autograd.grad(value.sum(), d)[0].dtype == dtype


def test_what_is_masked_counts_for_nothing_whatever_it_is():
    d = torch.tensor([[0.5, torch.nan], [torch.inf, -1.0]], requires_grad=True)
    mask = torch.tensor([[1, 0], [0, 1]])
    for term in (k1, k2, k3):
        value = term(d, mask)
        assert value[0, 1] == value[1, 0] == 0
        assert_close(value[0, 0], term(torch.tensor(0.5)))
        (slope,) = torch.autograd.grad(value.sum(), d)
        assert slope[0, 1] == slope[1, 0] == 0
        assert torch.isfinite(slope).all()


def test_averages_and_gradients_are_what_the_docstring_says():
    """Expectations over all outcomes of categorical p and q, exactly."""
    logits, reference = torch.randn(2, 5, dtype=torch.float64).unbind()
    logits.requires_grad_()

    def kl(a, b):
        return (a.exp() * (a - b)).sum()

    log_p, log_q = logits.log_softmax(-1), reference.log_softmax(-1)
    p = log_p.detach().exp()
    for term in (k1, k3):
        assert_close((p * term(log_q - log_p)).sum(), kl(log_p, log_q))
    assert abs((p * k2(log_q - log_p)).sum() - kl(log_p, log_q)) > 1e-3

    def slope(value):
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    # What was drawn is held constant, as in training: the weights p carry no gradient.
    assert_close(slope((p * k1(log_q - log_p)).sum()), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)
    assert_close(slope((p * k2(log_q - log_p)).sum()), slope(kl(log_p, log_q)))
    assert_close(slope((p * k3(log_q - log_p)).sum()), slope(kl(log_q, log_p)))


def test_what_is_no_log_ratio_is_refused():
    for bad in ([0.1], torch.tensor([1, 2])):
        with pytest.raises(TypeError, match="reference_log_probs - policy_log_probs"):
            k3(bad)
    with pytest.raises(TypeError, match="is a dense tensor"):
        k3(torch.eye(2).to_sparse())


def test_masks_are_arrays_of_what_counts_and_what_does_not():
    d = torch.tensor([0.5, 1.0, -1.0])
    want = k3(d, torch.tensor([True, False, True]))
    for mask in ([1, 0, 1], [True, False, True], np.array([1.0, 0.0, 1.0])):
        assert_close(k3(d, mask), want, rtol=0, atol=0)
    for term in (k1, k2, k3):
        with pytest.raises(ValueError, match=r"mask has the value 0\.5; an entry counts or does not"):
            term(d, [1, 0.5, 0])
    with pytest.raises(TypeError, match="mask is an array"):
        k3(d, "all")
