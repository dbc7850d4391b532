"""Claim: low-rank pairs with gradients cost no more than in torch.distributions, small covariances a fraction of calls.

The values alone of low-rank pairs take up to 1.7 times what torch takes, which keeps fewer digits near p = q.

Low-rank pairs: the divergence from raw tensors, float32, and with the gradients of its mean. The peer is the pair of
two LowRankMultivariateNormal of the same rank, also where ours is against a diagonal, which torch refuses. All pairs:
1,000 × 1,000 covariances of 3 coordinates, float32, against single calls by broadcasting. Objects of torch: the time
over that of the same tensors as Gaussians, 128 rows of 32 coordinates. Validation off throughout, one thread, medians
of alternating runs in one process, with the range of the quartiles.

    python benchmarks/structured_speed.py
"""

import statistics

import torch
from timing import alternating, machine, ratio, row
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal

import kullback
from kullback import Gaussian, pairwise

SIZES = ((1000, 8, 256), (100, 4, 4096), (10_000, 16, 4))
DIVERGENCES = ("kl", "jeffreys", "bhattacharyya", "hellinger", "wasserstein2")


def by_torch(a, b, c, d, e, f):
    p, q = (LowRankMultivariateNormal(*x, validate_args=False) for x in ((a, b, c), (d, e, f)))
    return torch.distributions.kl_divergence(p, q)


def low_rank(a, b, c, d, e, f):
    p, q = (Gaussian.from_low_rank(*x, validate=False) for x in ((a, b, c), (d, e, f)))
    return kullback.kl_divergence(p, q)


def against_diagonal(a, b, c, d, e, f):
    q = Gaussian.from_variance(d, f, validate=False)
    return kullback.kl_divergence(Gaussian.from_low_rank(a, b, c, validate=False), q)


def operands(n, rank, rows):
    return torch.randn(rows, n), torch.randn(rows, n, rank) / 3, 0.5 + torch.rand(rows, n)


def low_rank_pairs():
    row(
        "coordinates, rank, pairs",
        "torch / ours",
        "with gradients",
        "torch / ours against a diagonal",
        "with gradients",
    )
    row("---", *["--:"] * 4)
    for n, rank, rows in SIZES:
        x = [v for _ in range(2) for v in operands(n, rank, rows)]
        leaves = [v.clone().requires_grad_() for v in x]

        def gradients(f, leaves=leaves):
            return lambda: torch.autograd.grad(f(*leaves).mean(), leaves, allow_unused=True)

        functions = {"torch": by_torch, "ours": low_rank, "diagonal": against_diagonal}
        taken = alternating(
            {name: lambda f=f, x=x: f(*x) for name, f in functions.items()}
            | {f"{name} both": gradients(f) for name, f in functions.items()}
        )
        kinds = (("torch", "ours"), ("torch both", "ours both"), ("torch", "diagonal"), ("torch both", "diagonal both"))
        row(f"{n:,}, {rank}, {rows:,}", *(ratio(taken[a], taken[b]) for a, b in kinds))


def batch(n, d):
    x = torch.randn(n, d, d) / d**0.5
    return Gaussian.from_covariance(torch.randn(n, d), x @ x.mT + torch.eye(d), validate=False)


def all_pairs():
    row("all pairs of 3 × 3 covariances", "ns a pair", "single calls, broadcast, ns a pair")
    row("---", "--:", "--:")
    p, q = batch(1000, 3), batch(1000, 3)
    few = p[:100][:, None], q[:100]
    for name in DIVERGENCES:
        function = kullback.kl_divergence if name == "kl" else getattr(kullback, name)
        taken = alternating({"all": lambda name=name: pairwise(p, q, name), "single": lambda f=function: f(*few)})
        medians = (statistics.median(taken["all"]) / 1e6, statistics.median(taken["single"]) / 1e4)
        row(name, *(f"{1e9 * x:,.0f}" for x in medians))


def objects_of_torch():
    row("objects of torch", "their time / that of Gaussians")
    row("---", "--:")
    means, scales = torch.randn(2, 128, 32), 0.5 + torch.rand(2, 128, 32)
    factors = torch.diag_embed(scales) + torch.randn(2, 128, 32, 32).tril(-1) / 32
    diagonals = [
        Independent(Normal(*x, validate_args=False), 1, validate_args=False) for x in zip(means, scales, strict=True)
    ]
    full = [MultivariateNormal(m, scale_tril=t, validate_args=False) for m, t in zip(means, factors, strict=True)]
    for name, objects, make, parts in (
        ("Independent(Normal)", diagonals, Gaussian.from_std, scales),
        ("MultivariateNormal", full, Gaussian.from_scale_tril, factors),
    ):
        taken = alternating(
            {
                "objects": lambda objects=objects: kullback.kl_divergence(*objects),
                "ours": lambda make=make, parts=parts: kullback.kl_divergence(
                    *(make(m, s, validate=False) for m, s in zip(means, parts, strict=True))
                ),
            }
        )
        row(name, ratio(taken["objects"], taken["ours"]))


if __name__ == "__main__":
    torch.manual_seed(0)
    print(machine(), "\n")
    low_rank_pairs()
    print()
    all_pairs()
    print()
    objects_of_torch()
