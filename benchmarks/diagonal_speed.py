"""Claim: KL of diagonals is several times faster than torch.distributions, values and gradients, at every size.

From raw tensors: two constructors, the divergence, and where gradients are taken its mean and those of all four
tensors. Validation is off on both sides; a column has torch's own default. float32, one thread. Ratios of medians of
alternating runs in one process, with the range of the quartiles; above 1 kullback is faster. The last column is the
time of a forward pass as a multiple of reading the four operands once.

    python benchmarks/diagonal_speed.py
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import statistics

import torch
from timing import alternating, by, machine, ratio, row
from torch.distributions import Independent, Normal, kl_divergence

import kullback
from kullback import Gaussian
from kullback.losses import kl_loss


def by_torch(a, b, c, d, *, validate=False):
    return kl_divergence(
        Independent(Normal(a, b, validate_args=validate), 1, validate_args=validate),
        Independent(Normal(c, d, validate_args=validate), 1, validate_args=validate),
    )


def by_kullback(a, b, c, d):
    return kullback.kl_divergence(Gaussian.from_std(a, b, validate=False), Gaussian.from_std(c, d, validate=False))


def one_line(a, b, c, d):
    """The textbook formula, as it is written into training loops."""
    return (torch.log(d / b) + (b * b + (a - c) ** 2) / (2 * d * d) - 0.5).sum(-1)


def vae_line(mu, logvar):
    """The line of the VAE tutorials: KL to the standard normal, mean over rows."""
    return (-0.5 * (1 + logvar - mu**2 - logvar.exp()).sum(-1)).mean()


def operands(rows, n, count=4):
    return [(torch.rand(rows, n) + 0.5).requires_grad_() for _ in range(count)]


def gradients(f, x):
    return lambda: torch.autograd.grad(f(*x).mean(), x)


def forward_rows():
    row("forward", "torch.distributions / native", "… validated", "one line", "… / torch body", "… / formula", "reads")
    row(*["---"] + ["--:"] * 6)
    for rows, n in ((4, 256), (64, 256), (1024, 256), (4096, 256), (65536, 256), (2**19, 2)):
        x = [v.detach() for v in operands(rows, n)]
        taken = alternating(
            {
                "td": lambda x=x: by_torch(*x),
                "validated": lambda x=x: by_torch(*x, validate=True),
                "line": lambda x=x: one_line(*x),
                "native": by("native", lambda x=x: by_kullback(*x)),
                "torch": by("torch", lambda x=x: by_kullback(*x)),
                "reference": by("reference", lambda x=x: by_kullback(*x)),
                "read": lambda x=x: [v.sum() for v in x],
            }
        )
        read = statistics.median(taken["native"]) / statistics.median(taken["read"])
        row(
            f"[{rows}, {n}]", ratio(taken["td"], taken["native"]), ratio(taken["validated"], taken["native"]),
            ratio(taken["line"], taken["native"]), ratio(taken["td"], taken["torch"]),
            ratio(taken["td"], taken["reference"]), f"{read:.1f}",
        )  # fmt: skip


def gradient_rows():
    import jax
    import jax.numpy as jnp

    print()
    row(
        "forward and backward", "torch.distributions / native", "… / fused mean", "torch.compile / native",
        "JAX / native", "… / torch body", "… / formula",
    )  # fmt: skip
    row(*["---"] + ["--:"] * 6)
    compiled = torch.compile(one_line)
    jitted = jax.jit(
        jax.value_and_grad(
            lambda a, b, c, d: (jnp.log(d / b) + (b * b + (a - c) ** 2) / (2 * d * d) - 0.5).sum(-1).mean(),
            argnums=(0, 1, 2, 3),
        )
    )
    for rows, n in ((128, 32), (4096, 256), (65536, 256)):
        x = operands(rows, n)
        arrays = [jnp.asarray(v.detach().numpy()) for v in x]

        def fused(x=x):
            p, q = Gaussian.from_std(*x[:2], validate=False), Gaussian.from_std(*x[2:], validate=False)
            return torch.autograd.grad(kl_loss(p, q), x)

        peers = {
            "td": gradients(by_torch, x),
            "compile": gradients(compiled, x),
            "jax": lambda arrays=arrays: jax.block_until_ready(jitted(*arrays)),
        }
        ours = {name: by(name, gradients(by_kullback, x)) for name in ("native", "torch", "reference")}
        ours["fused"] = by("native", fused)
        # Two at a time: what a third one leaves behind of the system's memory decides otherwise.
        pairs = (
            ("td", "native"),
            ("td", "fused"),
            ("compile", "native"),
            ("jax", "native"),
            ("td", "torch"),
            ("td", "reference"),
        )
        taken = [alternating({a: peers[a], b: ours[b]}, seconds=1.0) for a, b in pairs]
        row(f"[{rows}, {n}]", *(ratio(t[a], t[b]) for t, (a, b) in zip(taken, pairs, strict=True)))


def standard_rows():
    print()
    row("to the standard normal, mean, gradients", "one-line VAE formula / native", "… / torch body")
    row("---", "--:", "--:")
    for rows, n in ((128, 32), (4096, 256), (65536, 256)):
        x = operands(rows, n, 2)
        standard = Gaussian.standard(n)

        def ours(x=x, standard=standard):
            return torch.autograd.grad(kl_loss(Gaussian.from_logvar(*x, validate=False), standard), x)

        taken = alternating(
            {
                "line": lambda x=x: torch.autograd.grad(vae_line(*x), x),
                "native": by("native", ours),
                "torch": by("torch", ours),
            }
        )
        row(f"[{rows}, {n}]", ratio(taken["line"], taken["native"]), ratio(taken["line"], taken["torch"]))


def mixed_rows():
    """Two parameterizations, of which torch.distributions takes the standard deviations that the user computes."""
    print()
    row("given differently, mean, gradients", "torch.distributions / native", "… / torch body", "… / formula")
    row("---", *["--:"] * 3)
    kinds = {
        "variance against std": (Gaussian.from_variance, torch.sqrt),
        "logvar against std": (Gaussian.from_logvar, lambda x: (0.5 * x).exp()),
    }
    for rows, n in ((128, 32), (4096, 256)):
        for name, (make, std) in kinds.items():
            x = operands(rows, n)

            def ours(a, b, c, d, make=make):
                return kullback.kl_divergence(make(a, b, validate=False), Gaussian.from_std(c, d, validate=False))

            def peer(a, b, c, d, std=std):
                return by_torch(a, std(b), c, d)

            backends = {key: by(key, gradients(ours, x)) for key in ("native", "torch", "reference")}
            taken = alternating({"td": gradients(peer, x), **backends}, seconds=1.0)
            row(f"{name} [{rows}, {n}]", *(ratio(taken["td"], taken[key]) for key in backends))


def double_rows():
    print()
    row("float64 as a multiple of float32", "forward", "forward and backward", "td forward", "td forward and backward")
    row("---", *["--:"] * 4)
    for rows, n in ((1024, 256), (65536, 256)):
        x = operands(rows, n)
        wide = [v.detach().double().requires_grad_() for v in x]
        cases = {}
        for name, at in (("32", x), ("64", wide)):
            plain = [v.detach() for v in at]
            cases["ours " + name] = by("native", lambda plain=plain: by_kullback(*plain))
            cases["ours both " + name] = by("native", gradients(by_kullback, at))
            cases["td " + name] = lambda plain=plain: by_torch(*plain)
            cases["td both " + name] = gradients(by_torch, at)
        taken = alternating(cases, seconds=1.0)
        names = ("ours", "ours both", "td", "td both")
        row(f"[{rows}, {n}]", *(ratio(taken[f"{name} 64"], taken[f"{name} 32"]) for name in names))


if __name__ == "__main__":
    print(machine(), "\n")
    forward_rows()
    gradient_rows()
    standard_rows()
    mixed_rows()
    double_rows()
