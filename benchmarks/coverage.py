"""Claim: estimates from samples are unbiased on Gaussian data, their 95 % intervals hold, and no peer is as near.

Three tables. Gaussian data: how often intervals and bands hold the truth, and how many of its own standard errors the
mean over repetitions is from the truth. Other data, whose divergence is known since they are bijections of Gaussian
pairs (the same map for both), or mixtures (ten million points drawn from p): the same, and the error. And the error
beside that of other libraries' estimators, on the same samples: the root of the mean over pairs and repetitions of
((estimate - truth) / (1 + truth))².

    python benchmarks/coverage.py
"""

import functools
import math
import multiprocessing
import sys
import warnings
from itertools import product

import numpy as np
import torch
from timing import machine, row

from kullback import Gaussian, Mixture, kl_divergence, kl_estimate

DIMENSIONS, DIVERGENCES, SIZES = (1, 2, 5, 10, 20, 50), (0.0, 0.1, 1.0, 5.0, 20.0), (500, 5000)
REPETITIONS = {500: 400, 5000: 60}
PEERS_ARE_GIVEN = {500: 20, 5000: 4}
PROCESSES = 2


def gaussian_pair(d, divergence):
    """Full covariances, a random direction of the means; half of the divergence at most is that of the covariances."""
    g = torch.Generator().manual_seed(1000 * d + round(10 * divergence))
    noise = torch.randn(2, d, d, generator=g, dtype=torch.float64) / d**0.5
    one, other = 0.5 * noise @ noise.mT + 0.5 * torch.eye(d, dtype=torch.float64)
    direction, zero = torch.randn(d, generator=g, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    if not divergence:
        return Gaussian.from_covariance(zero, other), Gaussian.from_covariance(zero, other)
    q = Gaussian.from_covariance(zero, other)
    low, high = 0.0, 1.0
    for _ in range(60):
        t = 0.5 * (low + high)
        near = kl_divergence(Gaussian.from_covariance(zero, torch.lerp(other, one, t)), q) <= divergence / 2
        low, high = (t, high) if near else (low, t)
    covariance = torch.lerp(other, one, low)
    rest = divergence - kl_divergence(Gaussian.from_covariance(zero, covariance), q)
    size = kl_divergence(Gaussian.from_covariance(direction, other), q)
    return Gaussian.from_covariance(direction * (rest / size).sqrt(), covariance), q


def rotation(d):
    return torch.linalg.qr(torch.randn(d, d, generator=torch.Generator().manual_seed(d), dtype=torch.float64)).Q


# One map for both sides: the divergence is that of the Gaussians.
MAPS = {
    "log-normal": torch.exp,
    "x + x³/3": lambda x: x + x**3 / 3,
    "tanh(x/2)": lambda x: torch.tanh(x / 2),
    "two humps": lambda x: x + 2 * torch.tanh(3 * x),
    "x + x³/3, turned": lambda x: (lambda z: z + z**3 / 3)(x @ rotation(x.shape[1])) @ rotation(x.shape[1]).T,
    "log-normal, turned": lambda x: torch.exp(0.7 * x @ rotation(x.shape[1])) @ rotation(x.shape[1]).T,
    "banana": lambda x: x if x.shape[1] == 1 else torch.cat([x[:, :1], x[:, 1:] + x[:, :1] ** 2], 1),
}
MAPPED = tuple(product((1, 2, 5, 10, 20), (0.0, 0.3, 1.0, 5.0)))


def mixture_pair(d, spread):
    g = torch.Generator().manual_seed(d)

    def draw(k):
        mean = spread * torch.randn(k, d, generator=g, dtype=torch.float64)
        std = torch.rand(k, d, generator=g, dtype=torch.float64) + 0.3
        return Mixture(torch.rand(k, generator=g, dtype=torch.float64) + 0.2, Gaussian.from_std(mean, std))

    return draw(3), draw(4)


MIXTURES = tuple(product((1, 2, 5, 10), (0.5, 1.0, 1.5)))


@functools.cache
def pairs_of(bed):
    """Each pair of a bed: what draws from p, what draws from q, and the divergence."""
    if bed == "mixtures":
        pairs = [mixture_pair(*case) for case in MIXTURES]
        return [(p.sample, q.sample, float(kl_estimate(p, q, n=10**7, seed=0).value)) for p, q in pairs]
    mapped = MAPS.get(bed, lambda x: x)

    def sampler(g):
        return lambda n, generator: mapped(g.sample(n, generator=generator))

    cases = MAPPED if bed in MAPS else product(DIMENSIONS, DIVERGENCES)
    return [(*map(sampler, gaussian_pair(*case)), case[1]) for case in cases]


def drawn(bed, index, n, seed):
    p, q, truth = pairs_of(bed)[index]
    g = torch.Generator().manual_seed(seed)
    return p(n, generator=g), q(n, generator=g), truth


def ours(job):
    torch.set_num_threads(1)
    bed, index, n, seed = job
    x, y, truth = drawn(bed, index, n, seed)
    e = kl_estimate(x, y, seed=seed)
    inside = [bool(low <= truth <= high) for low, high in (e.interval, e.band)]
    return float(e.value) - truth, truth, *inside


def classifier(x, y):
    """The mean over held-out samples of p of the logit of a classifier, which is log p / q."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    both, labels = np.concatenate([x, y]), np.repeat([1, 0], [len(x), len(y)])
    model = make_pipeline(StandardScaler(), PolynomialFeatures(2), StandardScaler(), LogisticRegression(max_iter=500))
    logits = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(both, labels):
        fitted = model.fit(both[train], labels[train])
        logits.append(fitted.decision_function(both[test[labels[test] == 1]]))
    return np.concatenate(logits).mean()


def peers(job):
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # Numba, which a peer imports, would take this script for the package of the same name.
    sys.modules["coverage"] = None
    import divergence
    import infomeasure
    import npeet_plus
    import universal_divergence

    bed, index, n, seed = job
    x, y, truth = drawn(bed, index, n, seed)
    a, b = x.numpy(), y.numpy()
    estimates = {
        "kullback": lambda: float(kl_estimate(x, y, seed=seed).value),
        "npeet-plus": lambda: npeet_plus.kldiv(a, b, base=math.e),
        "infomeasure": lambda: infomeasure.kld(a, b, approach="metric"),
        "divergence": lambda: divergence.knn_kl_divergence(a, b),
    }
    if n == min(SIZES) and a.shape[1] <= 20:
        # Seconds for each of 5,000 rows, and for its 1,325 features of 50 coordinates.
        estimates["classifier"] = lambda: classifier(a, b)
    if n == min(SIZES) and seed < 2:
        # Two seconds for each of 500 rows.
        estimates["universal-divergence"] = lambda: universal_divergence.estimate(a, b)
    errors = {}
    for name, f in estimates.items():
        try:
            errors[name] = (float(f()) - truth) / (1 + truth)
        except Exception as error:  # what a peer raises is its own
            print(name, job, error, file=sys.stderr)
    return errors


def share(hits):
    return f"{100 * np.mean(hits):.1f} %"


def gaussian_table(pool):
    row("rows", "d", *(f"{x:g} nats" for x in DIVERGENCES))
    row("--:", "--:", *("--" for _ in DIVERGENCES))
    cells = list(enumerate(product(DIMENSIONS, DIVERGENCES)))
    for n in SIZES:
        everything = []
        for d in DIMENSIONS:
            line = []
            for index in (i for i, (dim, _) in cells if dim == d):
                jobs = [("Gaussian", index, n, seed) for seed in range(REPETITIONS[n])]
                off, _, interval, band = map(np.array, zip(*pool.map(ours, jobs, 4), strict=True))
                z = off.mean() / (off.std() / len(off) ** 0.5)
                line.append(f"{share(interval)}, {z:+.1f}")
                everything.append((interval.mean(), band.mean(), z))
            row(n, d, *line)
        interval, band, z = np.array(everything).T
        biases = f"biases {np.sqrt((z**2).mean()):.2f} of their standard errors (root mean square)"
        row(n, "all", f"intervals {share(interval)}", f"bands {share(band)}", biases, "", "")


def beds_table(pool):
    row("data", "rows", "error", "intervals hold", "bands hold")
    row("---", "--:", "--:", "--:", "--:")
    for bed, n in product([*MAPS, "mixtures"], SIZES):
        count = len(MIXTURES) if bed == "mixtures" else len(MAPPED)
        jobs = [(bed, i, n, seed) for i in range(count) for seed in range(PEERS_ARE_GIVEN[n])]
        off, truth, interval, band = map(np.array, zip(*pool.map(ours, jobs, 4), strict=True))
        error = np.sqrt(np.mean((off / (1 + truth)) ** 2))
        row(bed, n, f"{error:.3f}", share(interval), share(band))


def peers_table(pool):
    names = ("kullback", "npeet-plus", "infomeasure", "divergence", "classifier", "universal-divergence")
    row("data", "rows", *names)
    row("---", "--:", *("--:" for _ in names))
    for bed, n in product(["Gaussian", *MAPS, "mixtures"], SIZES):
        count = {"Gaussian": len(DIMENSIONS) * len(DIVERGENCES), "mixtures": len(MIXTURES)}.get(bed, len(MAPPED))
        repetitions = PEERS_ARE_GIVEN[n] if bed == "Gaussian" else max(2, PEERS_ARE_GIVEN[n] // 4)
        jobs = [(bed, i, n, seed) for i in range(count) for seed in range(repetitions)]
        found = pool.map(peers, jobs, 1)
        line = []
        for name in names:
            errors = np.array([x[name] for x in found if name in x])
            line.append(f"{np.sqrt(np.mean(errors**2)):.3f}" if len(errors) else "")
        row(bed, n, *line)


def main():
    print(machine(1), f"\n{PROCESSES} processes\n")
    tables = {"gaussian": gaussian_table, "beds": beds_table, "peers": peers_table}
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        for name in sys.argv[1:] or tables:
            tables[name](pool)
            print()


if __name__ == "__main__":
    main()
