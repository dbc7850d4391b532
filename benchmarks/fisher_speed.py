"""Claim: a Fisher-vector product, the gradient of a gradient, takes no longer than with torch.distributions.

As TRPO and natural gradients take it: the mean KL of a batch of policies from the same policies held constant, its
gradient with a graph, and the gradient of its product with a vector. float32, one thread, validation off on both sides,
standard deviations of every row, or of one that all rows share. Ratios of medians of alternating runs in one process,
with the range of the quartiles; above 1 kullback is faster.

    python benchmarks/fisher_speed.py
"""

import torch
from timing import alternating, by, machine, ratio, row
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as torch_kl

import kullback
from kullback import Gaussian

BACKENDS = "native", "torch", "reference"


def by_torch(a, b, c, d):
    return torch_kl(*(Independent(Normal(*x, validate_args=False), 1, validate_args=False) for x in ((a, b), (c, d))))


def by_kullback(a, b, c, d):
    return kullback.kl_divergence(Gaussian.from_std(a, b, validate=False), Gaussian.from_std(c, d, validate=False))


def fisher_vector_product(divergence, mean, std, direction):
    held = mean.detach(), std.detach()

    def product():
        first = torch.autograd.grad(divergence(*held, mean, std).mean(), (mean, std), create_graph=True)
        along = sum((g * v).sum() for g, v in zip(first, direction, strict=True))
        return torch.autograd.grad(along, (mean, std))

    return product


def main():
    print(f"{machine()}\n")
    row("rows x n", "standard deviations", "torch.distributions / native", "… / torch body", "… / formula")
    row("---", "---", *["--:"] * 3)
    for rows, n in ((128, 32), (4096, 17), (4096, 256)):
        for what, shape in (("of every row", (rows, n)), ("shared", (n,))):
            mean, std = torch.randn(rows, n).requires_grad_(), torch.rand(shape).add_(0.5).requires_grad_()
            direction = torch.randn(rows, n), torch.randn(shape)
            ours = fisher_vector_product(by_kullback, mean, std, direction)
            theirs = {"theirs": fisher_vector_product(by_torch, mean, std, direction)}
            taken = alternating(theirs | {name: by(name, ours) for name in BACKENDS})
            row(f"{rows} x {n}", what, *(ratio(taken["theirs"], taken[name]) for name in BACKENDS))


if __name__ == "__main__":
    main()
