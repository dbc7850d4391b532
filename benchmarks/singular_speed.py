"""Claim: the Fréchet distance of fewer images than features takes a third of the time of torch's eigvals, or less.

2,048 features of float64, whose covariances are singular: by the statistics, with the constructor that looks for their
rank, and by the rows of features. The peer takes the trace of the root from the eigenvalues of Σp Σq. Its error,
against ours by the statistics, is that of roots of what rounding left of eigenvalues that are 0.

One thread; ratios of medians of alternating runs in one process, with the range of the quartiles; above 1 kullback is
faster.

    python benchmarks/singular_speed.py
"""

import functools

import torch
from frechet_speed import by_eigenvalues, milliseconds
from timing import alternating, machine, ratio, row

from kullback import Gaussian, wasserstein2


def from_statistics(p, q):
    a, b = (Gaussian.from_covariance(*x, singular=True) for x in (p, q))
    return wasserstein2(a, b, squared=True)


def from_rows(x, y):
    a, b = (Gaussian.from_samples(rows, structure="low_rank") for rows in (x, y))
    return wasserstein2(a, b, squared=True)


def main():
    torch.manual_seed(0)
    print(machine(1), "\n")
    row("images", "statistics, ms", "rows, ms", "eigvals, ms", "eigvals / statistics", "eigvals / rows", "its error")
    row("---", *["--:"] * 6)
    for n, m in ((500, 700), (500, 3000)):
        x, y = (torch.randn(k, 2048, dtype=torch.float64) for k in (n, m))
        p, q = ((rows.mean(0), torch.cov(rows.mT)) for rows in (x, y))
        calls = {
            "statistics": functools.partial(from_statistics, p, q),
            "rows": functools.partial(from_rows, x, y),
            "eigvals": functools.partial(by_eigenvalues, *p, *q),
        }
        ours, theirs = calls["statistics"](), calls["eigvals"]()
        t = alternating(calls, 2.0)
        row(
            f"{n}, {m}", *[milliseconds(t[name]) for name in calls], ratio(t["eigvals"], t["statistics"]),
            ratio(t["eigvals"], t["rows"]), f"{float((theirs - ours).abs() / ours):.1e}",
        )  # fmt: skip


if __name__ == "__main__":
    main()
