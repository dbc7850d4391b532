"""Claim: KL of full Gaussians of up to 32 coordinates is several times faster than torch.distributions.

From raw tensors, covariances of float32: two constructors, the divergence, and where gradients are taken its mean and
those of both means and both covariances. Validation off on both sides, one thread; ratios of medians of alternating
runs in one process, with the range of the quartiles; above 1 kullback is faster.

    python benchmarks/full_speed.py
"""

import torch
from timing import alternating, by, machine, ratio, row
from torch.distributions import MultivariateNormal, kl_divergence

import kullback
from kullback import Gaussian

SIZES = ((2, 65536), (3, 65536), (8, 8192), (16, 4096), (32, 1024), (64, 256), (128, 64), (512, 2))


def by_torch(a, b, c, d):
    return kl_divergence(MultivariateNormal(a, b, validate_args=False), MultivariateNormal(c, d, validate_args=False))


def by_kullback(a, b, c, d):
    return kullback.kl_divergence(
        Gaussian.from_covariance(a, b, validate=False), Gaussian.from_covariance(c, d, validate=False)
    )


def operands(rows, n):
    noise = [torch.randn(rows, n, n) / n**0.5 for _ in range(2)]
    matrices = [x @ x.mT + torch.eye(n) for x in noise]
    return [x.requires_grad_() for x in (torch.randn(rows, n), matrices[0], torch.randn(rows, n), matrices[1])]


def main():
    print(machine(), "\n")
    row("coordinates, pairs", "forward", "forward and backward", "forward, torch body", "both, torch body", "forward, formula", "both, formula")
    row("---", *["--:"] * 6)
    for n, rows in SIZES:
        x = operands(rows, n)
        plain = [v.detach() for v in x]

        def gradients(f, x=x):
            return lambda: torch.autograd.grad(f(*x).mean(), x)

        taken = alternating(
            {
                "td": lambda plain=plain: by_torch(*plain),
                "td both": gradients(by_torch),
                "native": by("native", lambda plain=plain: by_kullback(*plain)),
                "native both": by("native", gradients(by_kullback)),
                "torch": by("torch", lambda plain=plain: by_kullback(*plain)),
                "torch both": by("torch", gradients(by_kullback)),
                "formula": by("formula", lambda plain=plain: by_kullback(*plain)),
                "formula both": by("formula", gradients(by_kullback)),
            },
            seconds=1.0,
        )
        row(
            f"{n}, {rows}", ratio(taken["td"], taken["native"]), ratio(taken["td both"], taken["native both"]),
            ratio(taken["td"], taken["torch"]), ratio(taken["td both"], taken["torch both"]),
            ratio(taken["td"], taken["formula"]), ratio(taken["td both"], taken["formula both"]),
        )  # fmt: skip


if __name__ == "__main__":
    main()
