"""Kernels on little memory, on tensors that change, and under gradients of any size."""

import os
import subprocess
import sys

import pytest
import torch
from torch.distributions import Normal

from kullback import Gaussian, kernels, kl_divergence
from kullback.kernels import native_kernel
from kullback.losses import kl_loss

ON_A_SMALL_STACK = """
import os, threading, torch
from kullback import Gaussian, kl_divergence

def pair(n, dtype):
    a = torch.randn(9, n, n, dtype=dtype)
    make = lambda mean: Gaussian.from_covariance(mean, a @ a.mT + torch.eye(n, dtype=dtype), validate=False)
    return make(torch.zeros(9, n, dtype=dtype)), make(torch.ones(9, n, dtype=dtype))

def work(found):
    for n in (2, 3, 16, 32, 33, 64):
        for dtype in (torch.float32, torch.float64):
            p, q = pair(n, dtype)
            found.append(kl_divergence(p, q))
            mean = p.mean.clone().requires_grad_()
            scale = p.scale.matrix.clone().requires_grad_()
            kl_divergence(Gaussian.from_covariance(mean, scale, validate=False), q).sum().backward()
    p = Gaussian.from_std(torch.zeros(1000, 300), torch.ones(1000, 300), validate=False)
    found.append(kl_divergence(p, p))

def in_a_thread():
    threading.stack_size(128 * 1024)
    found = []
    thread = threading.Thread(target=work, args=(found,))
    thread.start()
    thread.join()
    assert len(found) == 13 and all(bool(x.isfinite().all()) for x in found)

work([])  # what is imported and allocated once needs a stack of its own
in_a_thread()
child = os.fork()
if child == 0:
    in_a_thread()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print("done")
"""


@pytest.mark.parametrize("most", native_kernel.INSTRUCTION_SETS)
def test_a_stack_of_128_kilobytes_is_enough(most):
    program = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_A_SMALL_STACK], capture_output=True, text=True, timeout=300,
        env={**os.environ, "KULLBACK_INSTRUCTIONS": most},
    )  # fmt: skip
    assert program.stdout == "done\n", (program.returncode, program.stderr[-2000:])


def test_weights_that_change_raise_where_they_are_needed_again():
    def loss():
        weights = torch.rand(8)
        value = kl_loss(Gaussian.from_std(mean, 0.5), Gaussian.standard(3), weights)
        want = (mean * weights[:, None] / 8).detach()
        weights.zero_()
        return value, want

    mean = torch.randn(8, 3, requires_grad=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss()[0], mean, create_graph=True)
    value, want = loss()
    if kernels.selected(Gaussian.from_std(mean, 0.5), Gaussian.standard(3)).backend != "reference":
        # The gradients that were made with the loss are those of the loss; others cannot be made any more.
        torch.testing.assert_close(torch.autograd.grad(value, mean, retain_graph=True)[0], want)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(value, mean)


def test_weights_serve_a_second_backward_pass():
    mean, weights = torch.randn(8, 3, requires_grad=True), torch.rand(8)
    loss = kl_loss(Gaussian.from_std(mean, 0.5), Gaussian.standard(3), weights)
    first = torch.autograd.grad(loss, mean, retain_graph=True)[0]
    (second,) = torch.autograd.grad(loss, mean, create_graph=True)
    torch.testing.assert_close(first, mean * weights[:, None] / 8)
    torch.testing.assert_close(second, first)


@pytest.mark.parametrize("backend", ["native", "torch", "reference"])
@pytest.mark.parametrize("given", ["std", "variance", "logvar"])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("upstream", [1e-30, 1e-18, 1e18, 1e30])
def test_no_digits_are_lost_to_the_size_of_the_upstream_gradient(backend, given, size, upstream):
    if backend == "native" and native_kernel.unavailable_reason():
        pytest.skip("no C library")
    tensors = [size * torch.randn(6, 5), size * (0.5 + torch.rand(6, 5))] * 2
    if given == "logvar":
        tensors = [torch.randn(6, 5), torch.randn(6, 5), torch.randn(6, 5), torch.randn(6, 5)]
    tensors[2:] = [x + 0.1 * size * torch.rand(6, 5) for x in tensors[2:]]
    make = getattr(Gaussian, f"from_{given}")

    def gradients(factor):
        a, b, c, d = (x.clone().requires_grad_() for x in tensors)
        with kernels.use(backend):
            value = kl_divergence(make(a, b), make(c, d))
            return torch.autograd.grad(value, (a, b, c, d), torch.full_like(value, factor))

    # torch.distributions in float64: p and q are far enough apart for it to keep more digits than are asked for.
    a, b, c, d = (x.double().requires_grad_() for x in tensors)
    std_of = {"std": lambda x: x, "variance": torch.sqrt, "logvar": lambda x: (0.5 * x).exp()}[given]
    truth = torch.distributions.kl_divergence(Normal(a, std_of(b)), Normal(c, std_of(d))).sum()
    wants = [upstream * x for x in torch.autograd.grad(truth, (a, b, c, d))]
    for got, want in zip(gradients(upstream), wants, strict=True):
        # Where float32 holds the derivative and those that it is a sum of.
        size_of = want.abs().amax()
        held = (want.abs() > 1e-3 * size_of) & (size_of < 1e37)
        torch.testing.assert_close(got.double()[held], want[held], rtol=1e-4, atol=0.0)
