"""Claim: the usual recipes for the divergence of samples do not answer the question; an estimate with its error does.

5,000 samples on each side, 16 coordinates around 10: the same array twice; fresh samples of the same density; of one
that is moved; of one far away; and the moved pair, each coordinate taken through x -> exp(x - 10), which leaves the
divergence as it is.

    python benchmarks/recipes.py
"""

import numpy as np
import torch
import torch.nn.functional as F
from timing import machine, row

from kullback import Gaussian, kl_divergence, kl_estimate

N, D = 5_000, 16


def histogram(x, y, floor):
    """Of all numbers together, in 50 bins."""
    edges = np.histogram_bin_edges(torch.cat([x, y]), 50)
    p, q = (np.histogram(s, edges)[0] / s.numel() + floor for s in (x, y))
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(p > 0, p * np.log(p / q), 0.0).sum())


RECIPES = {
    "`F.kl_div(x, y)`, the samples as they are": lambda x, y: F.kl_div(x, y, reduction="batchmean"),
    "`F.kl_div(x.log_softmax(1), y.softmax(1))`": lambda x, y: F.kl_div(
        x.log_softmax(1), y.softmax(1), reduction="batchmean"
    ),
    "histograms of all numbers": lambda x, y: histogram(x, y, 0.0),
    "… with 1e-10 added to each bin": lambda x, y: histogram(x, y, 1e-10),
    "nearest neighbours alone": lambda x, y: kl_estimate(x, y, method="knn").value,
    "Gaussians fitted to both": lambda x, y: kl_divergence(
        *(Gaussian.from_samples(s, structure="full") for s in (x, y))
    ),
}


def main():
    print(machine(2), "\n")
    g = torch.Generator().manual_seed(0)
    p, q = (
        Gaussian.from_std(torch.full((D,), 10.0), 1.0),
        Gaussian.from_std(torch.full((D,), 10.0 + (2 / D) ** 0.5), 1.0),
    )
    far = Gaussian.from_std(torch.full((D,), 10.0 + (40 / D) ** 0.5), 1.0)
    x, same, moved, distant = (s.sample(N, generator=g) for s in (p, p, q, far))
    data = {
        "the same array": (x, x, 0.0),
        "the same density": (x, same, 0.0),
        "moved": (x, moved, float(kl_divergence(p, q))),
        "far": (x, distant, float(kl_divergence(p, far))),
        "moved, log-normal": (torch.exp(x - 10), torch.exp(moved - 10), float(kl_divergence(p, q))),
    }
    row("", *data)
    row("---", *["--:"] * len(data))
    row("**the truth**", *(f"**{truth:.4g}**" for *_, truth in data.values()))
    for name, recipe in RECIPES.items():
        row(name, *(f"{float(recipe(x, y)):.3g}" for x, y, _ in data.values()))
    found = [kl_estimate(x, y, seed=0) for x, y, _ in data.values()]
    row("`kl_estimate(x, y)`", *(f"{float(e.value):.3g} ± {float(e.standard_error):.2g}" for e in found))
    row("… and its band", *("{:.3g} to {:.3g}".format(*map(float, e.band)) for e in found))


if __name__ == "__main__":
    main()
