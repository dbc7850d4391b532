"""Claim: far apart and well conditioned, the Wasserstein distance of 2,048 coordinates is faster than torch's eigvals.

Close and ill-conditioned pairs are not: they take singular values or vectors. Other divergences of full covariances are
slower than what one composes by hand, which loses the digits near p = q.

The peers compute the trace formula: the eigenvalues of Σp Σq (torch; gradients go through eigenvectors, and at 2,048
coordinates are left out), or the square root of the product (scipy). Covariances of float64, of three kinds: well
conditioned; with eigenvalues k^-1.5, which fall as those of image features do, in axes of their own; and such a one
beside its mixture with a tenth of another. Below, the other divergences of full covariances, float32, against what one
composes of Cholesky factors and torch.distributions.

Values, and with the gradients of all inputs, one thread; ratios of medians of alternating runs in one process, with the
range of the quartiles; above 1 kullback is faster.

    python benchmarks/frechet_speed.py
"""

import statistics
import sys

import scipy.linalg
import torch
from timing import alternating, machine, ratio, row
from torch.distributions import MultivariateNormal, kl_divergence

import kullback
from kullback import Gaussian

DIMENSIONS = (64, 768, 2048)
BATCHES = ((4096, 3), (256, 16), (16, 128), (1, 768))


def by_eigenvalues(mean_p, cov_p, mean_q, cov_q):
    root = torch.linalg.eigvals(cov_p @ cov_q).sqrt().real.sum()
    return (mean_p - mean_q).square().sum() + cov_p.trace() + cov_q.trace() - 2 * root


def by_sqrtm(mean_p, cov_p, mean_q, cov_q):
    root = scipy.linalg.sqrtm((cov_p @ cov_q).numpy()).real.trace()
    return (mean_p - mean_q).square().sum() + cov_p.trace() + cov_q.trace() - 2 * root


def renyi_by_hand(mean_p, cov_p, mean_q, cov_q, alpha):
    between, p, q = (torch.linalg.cholesky(x) for x in (alpha * cov_q + (1 - alpha) * cov_p, cov_p, cov_q))
    y = torch.linalg.solve_triangular(between, (mean_p - mean_q).unsqueeze(-1), upper=False).squeeze(-1)
    logs = [x.diagonal(dim1=-2, dim2=-1).log().sum(-1) for x in (between, p, q)]
    gap = logs[0] - (1 - alpha) * logs[1] - alpha * logs[2]
    return 0.5 * alpha * y.square().sum(-1) + gap / (1 - alpha)


def jeffreys_by_hand(mean_p, cov_p, mean_q, cov_q):
    p, q = (MultivariateNormal(m, c, validate_args=False) for m, c in ((mean_p, cov_p), (mean_q, cov_q)))
    return kl_divergence(p, q) + kl_divergence(q, p)


BY_HAND = {
    "hellinger": lambda *x: (1 - torch.exp(-0.5 * renyi_by_hand(*x, 0.5))).sqrt(),
    "bhattacharyya": lambda *x: 0.5 * renyi_by_hand(*x, 0.5),
    "renyi": lambda *x: renyi_by_hand(*x, 0.3),
    "jeffreys": jeffreys_by_hand,
}


def ours(name):
    further = (0.3,) if name == "renyi" else ()
    options = {"squared": True} if name == "wasserstein2" else {}

    def f(mean_p, cov_p, mean_q, cov_q):
        p, q = (Gaussian.from_covariance(m, c, validate=False) for m, c in ((mean_p, cov_p), (mean_q, cov_q)))
        return getattr(kullback, name)(p, q, *further, **options)

    return f


def falling(d):
    """A covariance whose eigenvalues fall as those of features do."""
    axes, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64))
    matrix = (axes * torch.arange(1, d + 1, dtype=torch.float64) ** -1.5) @ axes.mT
    return 0.5 * (matrix + matrix.mT)


def well_conditioned(*shape):
    noise = torch.randn(*shape, shape[-1], dtype=torch.float64) / shape[-1] ** 0.5
    return noise @ noise.mT + torch.eye(shape[-1], dtype=torch.float64)


def gradients(f, leaves):
    return lambda: torch.autograd.grad(f(*leaves).sum(), leaves)


def taken(functions, x, seconds, differentiated):
    """The seconds of each function on these inputs, and of some with gradients."""
    leaves = [v.clone().requires_grad_() for v in x]
    calls = {name: lambda f=f: f(*x) for name, f in functions.items()}
    calls.update({f"{name}, gradients": gradients(functions[name], leaves) for name in differentiated})
    return alternating(calls, seconds)


def milliseconds(times):
    return f"{1e3 * statistics.median(times):.3g}"


def pairs_of_covariances(d):
    yield "well conditioned", well_conditioned(d), well_conditioned(d)
    p, q = falling(d), falling(d)
    yield "falling spectra", p, q
    yield "falling spectra, close", p, 0.9 * p + 0.1 * q


def distances():
    row(
        "coordinates, covariances", "value, ms", "with gradients, ms", "eigvals, ms", "eigvals / value",
        "eigvals / with gradients", "eigvals with gradients / with gradients", "sqrtm / value",
    )  # fmt: skip
    row("---", *["--:"] * 7)
    for d in DIMENSIONS:
        for kind, cov_p, cov_q in pairs_of_covariances(d):
            x = [torch.randn(d, dtype=torch.float64), cov_p, torch.randn(d, dtype=torch.float64), cov_q]
            functions = {"ours": ours("wasserstein2"), "eigvals": by_eigenvalues}
            if d == 768:
                functions["sqrtm"] = by_sqrtm
            t = taken(functions, x, 1.0, ["ours", "eigvals"] if d < 2048 else ["ours"])
            both, theirs = t["ours, gradients"], t.get("eigvals, gradients")
            row(
                f"{d}, {kind}", milliseconds(t["ours"]), milliseconds(both), milliseconds(t["eigvals"]),
                ratio(t["eigvals"], t["ours"]), ratio(t["eigvals"], both), ratio(theirs, both) if theirs else "",
                ratio(t["sqrtm"], t["ours"]) if "sqrtm" in t else "",
            )  # fmt: skip


def other_divergences():
    row("divergence, pairs, coordinates", "value, ms", "with gradients, ms", "by hand / value", "by hand / gradients")
    row("---", *["--:"] * 4)
    for name, by_hand in BY_HAND.items():
        for n, d in BATCHES:
            x = [v.float() for _ in range(2) for v in (torch.randn(n, d), well_conditioned(n, d))]
            t = taken({"ours": ours(name), "by hand": by_hand}, x, 0.5, ["ours", "by hand"])
            both = t["ours, gradients"]
            row(
                f"{name}, {n}, {d}", milliseconds(t["ours"]), milliseconds(both), ratio(t["by hand"], t["ours"]),
                ratio(t["by hand, gradients"], both),
            )  # fmt: skip


def main():
    torch.manual_seed(0)
    print(machine(int(sys.argv[1]) if len(sys.argv) > 1 else 1), "\n")
    distances()
    print()
    other_divergences()


if __name__ == "__main__":
    main()
