"""Not a claim but a debt: how many operations torch launches for a divergence of diagonals, counted on any machine.

On a GPU each operation on tensors is a kernel launch, and below a few hundred thousand elements launches decide.
Counted are the operations that compute (views and allocations are not launched) of the forward pass, and of forward
and backward together, of the mean over [128, 32]; for kullback those of the reference formula, which runs on GPUs.

    python benchmarks/launches.py
"""

import torch
from timing import row
from torch.distributions import Independent, Normal, kl_divergence
from torch.utils._python_dispatch import TorchDispatchMode

import kullback
from kullback import Gaussian

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
    for name, makes in {
        "std": (std, std), "variance": (variance, variance), "logvar": (logvar, logvar),
        "logvar against std": (logvar, std),
    }.items():  # fmt: skip
        row(f"kullback, {name}", *launched(by_kullback(*makes), x))
    row("the line of VAE tutorials", *launched(vae_line, x[:2]))
    prior = lambda a, b: kullback.kl_divergence(logvar(a, b, validate=False), standard)  # noqa: E731
    row("kullback, logvar to the standard normal", *launched(prior, x[:2]))


if __name__ == "__main__":
    main()
