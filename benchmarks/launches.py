"""Claim: on a GPU a divergence of diagonals and its gradients take 4 launches, where torch.distributions takes 36.

On a GPU each operation on tensors is a kernel launch, and below a few hundred thousand elements launches decide.
Counted, on any machine, are the operations that compute (views and allocations are not launched) of the forward pass,
and of forward and backward together, of the mean over [128, 32]: by the Triton kernels, by the closed forms in
operations of torch where there is no Triton, and by the reference formula, which is left to transforms.

    python benchmarks/launches.py
"""

from unittest import mock

import torch
from timing import row
from torch.distributions import Independent, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

import kullback
from kullback import Gaussian
from kullback.kernels import triton_kernel
from kullback.kernels.elementwise_kernel import ElementwiseKernel
from kullback.kernels.layout import laid_out

# What only describes tensors, or hands out memory.
_FREE = (
    "view",
    "expand",
    "detach",
    "as_strided",
    "t.",
    "transpose",
    "unsqueeze",
    "squeeze",
    "empty",
    "alias",
    "select",
    "slice",
)


class Count(TorchDispatchMode):
    """Counts the operations of a block that would be launched."""

    def __init__(self):
        super().__init__()
        self.launched = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__
        self.launched += not name.startswith(_FREE) and not name.startswith("_unsafe_view")
        return func(*args, **(kwargs or {}))


def launched(f, x):
    """The operations of f, and of f with its gradients."""
    with Count() as forward:
        f(*[v.detach() for v in x])
    with Count() as both:
        torch.autograd.grad(f(*x).mean(), x)
    return forward.launched, both.launched


def launched_by_kernel(kernel, kind, x):
    """The same of a kernel, whose mean is one more operation, and its derivative another."""
    tensors, layout = laid_out([v.detach() for v in x], kind, 1)
    weight = torch.full((128,), 1 / 128)
    with Count() as forward:
        kernel.value(tensors, layout)
    with Count() as backward:
        kernel.gradients(tensors, layout, weight, (True,) * 4)
    return forward.launched, forward.launched + backward.launched + 2


def by_torch(a, b, c, d):
    p, q = (Independent(Normal(*x, validate_args=False), 1, validate_args=False) for x in ((a, b), (c, d)))
    return kl_divergence(p, q)


def by_kullback(make_p, make_q):
    return lambda a, b, c, d: kullback.kl_divergence(make_p(a, b, validate=False), make_q(c, d, validate=False))


def vae_line(mu, logvar, *_):
    return -0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)


def main():
    print(f"torch {torch.__version__}, kullback {kullback.__version__}\n")
    row("operations launched", "forward", "forward and backward of the mean")
    row("---", "--:", "--:")
    x = [(torch.rand(128, 32) + 0.5).requires_grad_() for _ in range(4)]
    std, variance, logvar = Gaussian.from_std, Gaussian.from_variance, Gaussian.from_logvar
    standard = Gaussian.standard(32)
    row("torch.distributions", *launched(by_torch, x))
    # A launch is counted as one operation, and not made.
    with mock.patch.object(triton_kernel, "_launch_diagonal", lambda tensors, *_, **__: tensors[0].neg()):
        row("kullback, by Triton, any parameterization", *launched_by_kernel(triton_kernel.TritonKernel(), "std", x))
    for kind in ("std", "variance", "logvar"):
        row(f"kullback, by operations of torch, {kind}", *launched_by_kernel(ElementwiseKernel(), kind, x))
    for name, makes in {
        "std": (std, std), "variance": (variance, variance), "logvar": (logvar, logvar),
        "logvar against std": (logvar, std),
    }.items():  # fmt: skip
        row(f"kullback, by the formula, {name}", *launched(by_kullback(*makes), x))
    row("the line of VAE tutorials", *launched(vae_line, x[:2]))
    prior = lambda a, b: kullback.kl_divergence(logvar(a, b, validate=False), standard)  # noqa: E731
    row("kullback, by the formula, logvar to the standard normal", *launched(prior, x[:2]))


if __name__ == "__main__":
    main()
