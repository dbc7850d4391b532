"""On a GPU a divergence and its gradients are two launches, where torch.distributions takes 36.

Medians of alternating runs in one process. A run is 20 calls one after the other, as a training loop makes them, and
one wait for the device: where calls are small, what counts is how long Python takes to launch them. float32; validation
is off on both sides.

    python benchmarks/cuda_speed.py
"""

import statistics
import time

import torch
from timing import row
from torch.distributions import Independent, MultivariateNormal, Normal
from torch.distributions import kl_divergence as torch_kl

import kullback
from kullback import Gaussian, kernels
from kullback.losses import kl_loss

CALLS, RUNS = 20, 15


def microseconds(functions):
    """The median time of a call of each, alternating."""
    times = {name: [] for name in functions}
    for repeat in range(RUNS + 2):
        for name, f in functions.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(CALLS):
                f()
            torch.cuda.synchronize()
            if repeat >= 2:
                times[name].append((time.perf_counter() - start) / CALLS * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def diagonal_by_torch(a, b, c, d):
    p, q = (Independent(Normal(*x, validate_args=False), 1, validate_args=False) for x in ((a, b), (c, d)))
    return torch_kl(p, q)


def full_by_torch(a, b, c, d):
    p, q = (MultivariateNormal(m, covariance_matrix=s, validate_args=False) for m, s in ((a, b), (c, d)))
    return torch_kl(p, q)


def by_kullback(make):
    return lambda a, b, c, d: kullback.kl_divergence(make(a, b, validate=False), make(c, d, validate=False))


def forward(f, x):
    x = [v.detach() for v in x]
    return lambda: f(*x)


def gradients(f, x):
    return lambda: torch.autograd.grad(f(*x), x)


def both(f, x):
    return gradients(lambda *v: f(*v).mean(), x)


def under(backend, f):
    def run():
        with kernels.use(backend):
            return f()

    return run


def table(title, cases):
    print(f"\n{title}\n")
    row("case", "torch.distributions", "torch.compile of it", "kullback, formula", "kullback, torch body", "kullback",
        "times as fast as torch.distributions")  # fmt: skip
    row("---", *["--:"] * 6)
    for name, wrap, theirs, ours, x in cases:
        torch._dynamo.reset()
        compiled = torch.compile(theirs, fullgraph=True) if title.startswith("Diagonal") else None
        functions = {"theirs": wrap(theirs, x), "ours": wrap(ours, x)}
        functions |= {key: under(key, wrap(ours, x)) for key in ("reference", "torch")}
        if compiled is not None:
            functions["compiled"] = wrap(compiled, x)
        t = microseconds(functions)
        shown = [f"{t[k]:.0f} µs" if k in t else "" for k in ("theirs", "compiled", "reference", "torch", "ours")]
        row(name, *shown, f"{t['theirs'] / t['ours']:.1f}")


def diagonal_cases():
    for shape in ((128, 32), (4096, 17), (4096, 256), (65536, 256), (524288, 2)):
        x = [torch.rand(shape, device="cuda").add_(0.5).requires_grad_() for _ in range(4)]
        for what, wrap in (("forward", forward), ("forward + backward", both)):
            yield f"{list(shape)} {what}", wrap, diagonal_by_torch, by_kullback(Gaussian.from_std), x


def full_cases():
    for rows, n in ((65536, 3), (16384, 8), (4096, 16), (4096, 32), (256, 64)):
        noise = [torch.randn(rows, n, n, device="cuda") / n**0.5 for _ in range(2)]
        b, d = ((v @ v.mT + 0.5 * torch.eye(n, device="cuda")) for v in noise)
        a, c = (torch.randn(rows, n, device="cuda") for _ in range(2))
        x = [v.requires_grad_() for v in (a, b, c, d)]
        for what, wrap in (("forward", forward), ("forward + backward", both)):
            yield f"{rows} x {n} {what}", wrap, full_by_torch, by_kullback(Gaussian.from_covariance), x


def vae_line(mu, logvar):
    return (-0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)).mean()


def to_prior(divergence):
    """The loss of a VAE, by a function of two Gaussians."""
    return lambda mu, logvar: divergence(
        Gaussian.from_logvar(mu, logvar, validate=False), Gaussian.standard(mu.shape[-1])
    )


def between(divergence):
    return lambda a, b, c, d: divergence(
        Gaussian.from_std(a, b, validate=False), Gaussian.from_std(c, d, validate=False)
    )


def mean_divergence(p, q):
    return kullback.kl_divergence(p, q).mean()


def losses():
    print("\nA loss and its gradients: to the standard normal against the line of VAE tutorials, a pair against "
          "torch.distributions\n")  # fmt: skip
    row("case", "peer", "kl_divergence(p, q).mean()", "kl_loss(p, q)", "kl_loss: times as fast as the peer")
    row("---", *["--:"] * 4)
    for shape in ((128, 32), (4096, 256), (65536, 256)):
        x = [torch.rand(shape, device="cuda").add_(0.5).requires_grad_() for _ in range(4)]
        for name, peer, ours, at in (
            ("to the standard normal", vae_line, to_prior, x[:2]),
            ("a pair", lambda *v: diagonal_by_torch(*v).mean(), between, x),
        ):
            t = microseconds({f: gradients(f, at) for f in (peer, ours(mean_divergence), ours(kl_loss))})
            theirs, mean, fused = t.values()
            row(f"{list(shape)} {name}", *[f"{v:.0f} µs" for v in (theirs, mean, fused)], f"{theirs / fused:.2f}")


def main():
    import triton

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, triton {triton.__version__}, kullback "
          f"{kullback.__version__}, float32")  # fmt: skip
    losses()
    table("Diagonal Gaussians", diagonal_cases())
    table("Full covariances", full_cases())


if __name__ == "__main__":
    main()
