"""Claim: log q(z) from a minibatch is near with stratified weights, and nats too high with a widely copied matrix.

The mean over minibatches of estimate less log q(z) over all inputs, in nats: with the stratified weights of kullback's
minibatch_log_prob; with those of minibatch-weighted sampling, 1/(NM) for each; and with the matrix that is copied
around, whose first column has what belongs on the diagonal. For the posteriors of the demo's VAE, and for 60,000 that
hardly overlap.

    python benchmarks/minibatch.py
"""

import math
from importlib.resources import files

import torch
from timing import machine, row

from kullback import Gaussian, Mixture
from kullback.io.posteriors import open_posteriors
from kullback.losses import minibatch_log_prob

MINIBATCHES = 20


def copied(m, n):
    """As it is found in repositories: strides of M, one less than the M + 1 of a diagonal."""
    rest, stratified = m - 1, (n - (m - 1)) / (n * (m - 1))
    weights = torch.full((m, m), 1 / rest, dtype=torch.float64)
    weights.view(-1)[::m] = 1 / n
    weights.view(-1)[1::m] = stratified
    weights[m - 2, 0] = stratified
    return weights.log()


def synthetic():
    g = torch.Generator().manual_seed(0)
    mean = torch.randn(60_000, 10, generator=g, dtype=torch.float64)
    return Gaussian.from_std(mean, 0.1 + 0.2 * torch.rand(60_000, 10, generator=g, dtype=torch.float64))


def main():
    print(machine(2), "\n")
    row("posteriors", "N", "M", "stratified", "minibatch-weighted", "the copied matrix")
    row("---", *["--:"] * 5)
    digits = open_posteriors(files("kullback") / "data" / "digits" / "standard.npz").model().read().to(torch.float64)
    for name, q in (("digits, 10 coordinates", digits), ("synthetic, 10 coordinates", synthetic())):
        n, aggregate, g = len(q), Mixture.aggregate(q), torch.Generator().manual_seed(0)
        for m in (64, 256, 1024):
            off = []
            for _ in range(MINIBATCHES):
                some = torch.randperm(n, generator=g)[:m]
                z = q[some].sample(1, generator=g)[0]
                each = torch.as_tensor(q[some].log_prob(z[:, None]))
                found = (
                    minibatch_log_prob(q[some], z, n),
                    torch.logsumexp(each, 1) - math.log(n * m),
                    torch.logsumexp(each + copied(m, n), 1),
                )
                exact = aggregate.log_prob(z)
                off.append([float((x - exact).mean()) for x in found])
            row(name, f"{n:,}", m, *(f"{x:+.2f}" for x in torch.tensor(off).mean(0)))


if __name__ == "__main__":
    main()
