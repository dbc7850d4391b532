"""Claim: the 10 nearest of 10,000 Gaussians for each of a million, exactly, no slower than FAISS's exact index.

nearest in 32 coordinates against FAISS's exact inner-product index (IndexFlatIP) over the vectors of ``augmented``,
rounded to float32 as it takes them. The vectors are made before FAISS's time is taken, and within ours. Both search the
same queries, in turn, in one process and with the same threads; the ratio is that of the medians. The indices of 100
rows are compared with brute force in float64. The peak of memory is that of nearest on all queries, in a process of its
own, with the million Gaussians.

    python benchmarks/nearest_scale.py [--threads 2] [--queries 200000] [--rounds 5]

KULLBACK_INSTRUCTIONS=avx2 limits ours to AVX2.
"""

import argparse
import resource
import subprocess
import sys
import time

import torch
from timing import machine, ratio, row

from kullback import Gaussian, augmented, nearest

D, M, K, ALL = 32, 10_000, 10, 1_000_000

SPREADS = {
    "ordinary": (0.0, 0.0),
    "scales from 0.01 to 100": (0.0, 4.6),
    "means around 1,000": (1000.0, 0.0),
}


def batch(n, spread):
    offset, width = SPREADS[spread]
    scale = torch.exp(width * (2.0 * torch.rand(D, generator=torch.Generator().manual_seed(1)) - 1.0))
    return Gaussian.from_std(offset + scale * torch.randn(n, D), scale * (0.5 + torch.rand(n, D)), validate=False)


def truth(p, q):
    """By the textbook formula in float64."""
    (a, s), (b, t) = ((g.mean.double(), g.scale.value.double()) for g in (p, q))
    return torch.stack(
        [(0.5 * ((x / t) ** 2 + ((y - b) / t) ** 2 - 1.0) + (t / x).log()).sum(1) for x, y in zip(s, a, strict=True)]
    ).topk(K, largest=False)


def exact(found, p, q):
    """How many of 100 rows have the nearest of brute force, and how many of FAISS's."""
    return int((found == truth(p[:100], q).indices).all(1).sum())


def speed(threads, queries, rounds):
    import faiss

    faiss.omp_set_num_threads(threads)
    row("nearest 10 of 10,000", "FAISS IndexFlatIP / nearest", "seconds for a million", "exact rows", "of FAISS")
    row("---", "--:", "--:", "--:", "--:")
    for name in SPREADS:
        p, q = batch(queries, name), batch(M, name)
        vectors = augmented(p, q)
        index = faiss.IndexFlatIP(vectors.q.shape[1])
        index.add(vectors.q.float().numpy())
        given = vectors.p.float().numpy()
        del vectors
        theirs, ours = [], []
        nearest(p[:1000], q, K)
        for _ in range(rounds):
            start = time.perf_counter()
            _, faiss_indices = index.search(given, K)
            middle = time.perf_counter()
            found = nearest(p, q, K)
            theirs.append(middle - start)
            ours.append(time.perf_counter() - middle)
        counts = [f"{exact(x[:100], p, q)} of 100" for x in (found.indices, torch.from_numpy(faiss_indices))]
        row(name, ratio(theirs, ours), f"{sorted(ours)[rounds // 2] * ALL / queries:.1f}", *counts)


def memory(threads):
    """The peak of one process that searches for all, and what it held before."""
    torch.set_num_threads(threads)
    p, q = batch(ALL, "ordinary"), batch(M, "ordinary")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    nearest(p, q, K)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{peak / 2**20:.2f} GiB | {before / 2**20:.2f} GiB | {seconds:.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    given = parser.parse_args()
    torch.manual_seed(0)
    if given.memory:
        memory(given.threads)
        sys.exit()
    print(machine(given.threads), "\n", flush=True)
    speed(given.threads, given.queries, given.rounds)
    command = [sys.executable, __file__, "--memory", "--threads", str(given.threads)]
    print()
    row("a million queries at once", "peak of memory", "of it before the search", "time")
    row("---", "--:", "--:", "--:")
    row("ordinary", subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip())
