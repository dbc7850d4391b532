"""Claim: KL of full Gaussians of up to 512 coordinates is several times faster than torch.distributions.

From raw tensors, covariances of float32: two constructors, the divergence, and where gradients are taken its mean and
those of both means and both covariances. Validation off on both sides, one thread; ratios of medians of alternating
runs in one process, with the range of the quartiles; above 1 kullback is faster.

JAX is not among the peers: held to one thread, its batched factorizations (jax 0.10.2) did not return at 65,536 pairs.

    python benchmarks/full_speed.py
"""

import gpytorch
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


def by_gpytorch(a, b, c, d):
    normal = gpytorch.distributions.MultivariateNormal
    return kl_divergence(normal(a, b), normal(c, d))


def operands(rows, n):
    noise = [torch.randn(rows, n, n) / n**0.5 for _ in range(2)]
    matrices = [x @ x.mT + torch.eye(n) for x in noise]
    return [x.requires_grad_() for x in (torch.randn(rows, n), matrices[0], torch.randn(rows, n), matrices[1])]


def main():
    print(machine(), "\n")
    row(
        "coordinates, pairs", "forward", "forward and backward", "GPyTorch / native", "forward, torch body",
        "both, torch body", "forward, formula", "both, formula",
    )  # fmt: skip
    row("---", *["--:"] * 7)
    for n, rows in SIZES:
        x = operands(rows, n)
        plain = [v.detach() for v in x]

        def gradients(f, x=x):
            return lambda: torch.autograd.grad(f(*x).mean(), x)

        taken = alternating(
            {
                "td": lambda plain=plain: by_torch(*plain),
                "td both": gradients(by_torch),
                "gpytorch": lambda plain=plain: by_gpytorch(*plain),
                "native": by("native", lambda plain=plain: by_kullback(*plain)),
                "native both": by("native", gradients(by_kullback)),
                "torch": by("torch", lambda plain=plain: by_kullback(*plain)),
                "torch both": by("torch", gradients(by_kullback)),
                "reference": by("reference", lambda plain=plain: by_kullback(*plain)),
                "formula both": by("reference", gradients(by_kullback)),
            },
            seconds=1.0,
        )
        pairs = (
            ("td", "native"), ("td both", "native both"), ("gpytorch", "native"),
            ("td", "torch"), ("td both", "torch both"), ("td", "reference"), ("td both", "formula both"),
        )  # fmt: skip
        row(f"{n}, {rows}", *(ratio(taken[a], taken[b]) for a, b in pairs))


if __name__ == "__main__":
    main()
