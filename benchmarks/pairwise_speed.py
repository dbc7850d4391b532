"""Claim: all pairs of diagonals, and the nearest of a million, faster than a loop over rows and than an exact index.

pairwise against torch.distributions in a loop over rows (5,000 × 5,000, 32 coordinates, float32), with the largest
error and the peak of memory beside the result; nearest (10 of a million, 1,000 queries) against FAISS's exact
inner-product index over the vectors of ``augmented``, rounded to float32 as it takes them, with the share of the
true neighbours that each finds. One thread.

    python benchmarks/pairwise_speed.py
"""

import resource
import statistics
import time

import torch
from timing import alternating, machine, ratio, row
from torch.distributions import Independent, Normal, kl_divergence

from kullback import Gaussian, augmented, kl_per_dimension, nearest, pairwise


def batch(n, offset=0.0, size=1.0):
    return Gaussian.from_std(offset + size * torch.randn(n, 32), 1.0 + size * (torch.rand(n, 32) - 0.5), validate=False)


def loop(p, q):
    ours = Independent(Normal(q.mean, q.scale.value, validate_args=False), 1, validate_args=False)
    return torch.stack(
        [
            kl_divergence(Independent(Normal(a, b, validate_args=False), 1, validate_args=False), ours)
            for a, b in zip(p.mean, p.scale.value, strict=True)
        ]
    )


def error(p, q):
    """The worst relative error of the first hundred rows, the first of which are those of q."""
    p, q = p[:100], q[:1000]
    want = kl_per_dimension(p.to(torch.float64)[:, None], q.to(torch.float64)).sum(-1)
    got = pairwise(p, q).double()
    return ((got - want).abs() / want.clamp(min=torch.finfo(torch.float32).tiny)).amax().item()


def pairs():
    row("pairwise", "row loop of torch.distributions / pairwise", "worst relative error", "memory beside the result")
    row("---", "--:", "--:", "--:")
    spreads = (("ordinary", 0.0, 1.0), ("means around 100", 100.0, 1.0), ("a tight cluster", 0.0, 1e-4))
    for name, offset, size in spreads:
        p, q = batch(5000, offset, size), batch(5000, offset, size)
        pairwise(p[:10], q)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = pairwise(p, q)
        extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / result.nbytes - 1.0
        taken = alternating({"loop": lambda p=p, q=q: loop(p, q), "ours": lambda p=p, q=q: pairwise(p, q)}, seconds=2.0)
        row(name, ratio(taken["loop"], taken["ours"]), f"{error(p, q):.0e}", f"{max(extra, 0.0):.2f} × the result")


def neighbours():
    import faiss

    faiss.omp_set_num_threads(1)
    p, q = batch(1000), batch(1_000_000)
    vectors = augmented(p, q)
    index = faiss.IndexFlatIP(vectors.q.shape[1])
    index.add(vectors.q.float().numpy())
    queries = vectors.p.float().numpy()
    times = {"faiss": [], "ours": []}
    for _ in range(3):
        start = time.perf_counter()
        _, theirs = index.search(queries, 10)
        middle = time.perf_counter()
        found = nearest(p, q, 10)
        times["faiss"].append(middle - start)
        times["ours"].append(time.perf_counter() - middle)
    sample = range(0, 1000, 50)
    truth = [nearest(p[i : i + 1].to(torch.float64), q, 10).indices[0] for i in sample]
    recall = [
        sum(len(set(t.tolist()) & set(x[i].tolist())) for i, t in zip(sample, truth, strict=True)) / (10 * len(truth))
        for x in (torch.from_numpy(theirs), found.indices)
    ]
    print()
    row("nearest 10 of 1,000,000, 1,000 queries", "FAISS IndexFlatIP / nearest", "recall of FAISS", "recall of nearest")
    row("---", "--:", "--:", "--:")
    medians = {name: statistics.median(x) for name, x in times.items()}
    row("32 coordinates", f"{medians['faiss'] / medians['ours']:.1f}", f"{recall[0]:.3f}", f"{recall[1]:.3f}")


if __name__ == "__main__":
    torch.manual_seed(0)
    print(machine(), "\n")
    pairs()
    neighbours()
