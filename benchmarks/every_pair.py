"""Claim: every divergence of every pair is right to the last digits that the inputs determine; its peers are not.

Over the grid of tests/truth/pairs.py (all pairs of parameterizations; near-identical to 2^-50; condition numbers to
1e12; scales of 1e±150; d from 1 to 200) the worst error of each quantity as a fraction of what is allowed: the larger
of 450 units in the last place and 20 times what rounding every input otherwise by half a unit would change. Beside it
other libraries on the same cases, from the representation that they take; how often they are off by more than is
allowed, and how often they give NaN, infinity, a negative number or an exception.

    python benchmarks/every_pair.py
"""

import collections
import math
import platform
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from flint import arb

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import gpytorch
import ot
from torch.distributions import Independent, LowRankMultivariateNormal, MultivariateNormal, Normal
from torchmetrics.image.fid import _compute_fid
from truth import pairs, quantities

import kullback

warnings.filterwarnings("ignore")


def torch_object(given: pairs.Given) -> torch.distributions.Distribution:
    """What a user of torch.distributions would build."""
    mean, *parts = (torch.from_numpy(np.asarray(x)) for x in (given.mean, *given.parts))
    if given.kind in ("std", "variance", "logvar"):
        std = {"std": lambda s: s, "variance": torch.sqrt, "logvar": lambda s: torch.exp(s / 2)}[given.kind](parts[0])
        return Independent(Normal(mean, std), 1)
    if given.kind == "low_rank":
        return LowRankMultivariateNormal(mean, *parts)
    name = {"covariance": "covariance_matrix", "scale_tril": "scale_tril", "precision": "precision_matrix"}[given.kind]
    return MultivariateNormal(mean, **{name: parts[0]})


def covariance(given: pairs.Given) -> torch.Tensor:
    """As a matrix."""
    p = torch_object(given)
    return p.variance.diag_embed() if isinstance(p, Independent) else p.covariance_matrix


def by_torch(p: pairs.Given, q: pairs.Given) -> float:
    """torch.distributions."""
    return float(torch.distributions.kl_divergence(torch_object(p), torch_object(q)))


def by_gpytorch(p: pairs.Given, q: pairs.Given) -> float:
    """GPyTorch's MultivariateNormal."""
    make = gpytorch.distributions.MultivariateNormal
    one, two = (make(torch.from_numpy(np.asarray(g.mean)), covariance(g)) for g in (p, q))
    return float(torch.distributions.kl_divergence(one, two))


def by_pot(p: pairs.Given, q: pairs.Given) -> float:
    """POT's Bures–Wasserstein distance, squared."""
    means = [torch.from_numpy(np.asarray(g.mean)) for g in (p, q)]
    return float(ot.gaussian.bures_wasserstein_distance(*means, *(covariance(g) for g in (p, q))) ** 2)


def by_torchmetrics(p: pairs.Given, q: pairs.Given) -> float:
    """The Fréchet part of torchmetrics' FID."""
    means = [torch.from_numpy(np.asarray(g.mean)) for g in (p, q)]
    if not torch.isfinite(covariance(p) @ covariance(q)).all():
        return math.nan  # LAPACK does not return from the eigenvalues of an infinite matrix
    return float(_compute_fid(means[0], covariance(p), means[1], covariance(q)))


PEERS: dict[str, dict[str, Callable[[pairs.Given, pairs.Given], float]]] = {
    "kl_divergence": {"torch": by_torch, "GPyTorch": by_gpytorch},
    "wasserstein2, squared": {"POT": by_pot, "torchmetrics": by_torchmetrics},
}


def ours(name: str) -> Callable[[pairs.Given, pairs.Given], float]:
    """Kullback."""
    return lambda p, q: float(quantities.QUANTITIES[name][1](p.gaussian(), q.gaussian()))


def judge(function: Callable[[pairs.Given, pairs.Given], float], name: str, case: pairs.Case) -> float | str | None:
    """The error as a fraction of what is allowed; a word for what is no number at all; None if the truth overflows."""
    truth = quantities.QUANTITIES[name][0]
    exact_case, moved_cases = quantities.truths(case)
    want = truth(exact_case)
    if want.is_finite() and abs(float(want)) > float(np.finfo(case.dtype).max):
        return None
    try:
        got = function(case.p, case.q)
    except NotImplementedError:
        return "refused"
    except Exception:
        return "exception"
    if not want.is_finite():
        return 0.0 if math.isinf(got) else math.inf
    if not math.isfinite(got):
        return "NaN or ∞"
    if got < 0 and name not in ("entropy", "cross_entropy"):
        return "negative"
    moved = [truth(pair) for pair in moved_cases]
    sensitivity = max(float(abs(m - want).upper()) if m.is_finite() else math.inf for m in moved)
    info = np.finfo(case.dtype)
    allowed = max(
        quantities.ULPS * info.eps * abs(float(want)), quantities.SENSITIVITIES * sensitivity, float(info.tiny)
    )
    return float(abs(arb(got) - want).upper()) / allowed


def show(x: float) -> str:
    """A ratio."""
    return f"{x:.2f}" if x < 100 else f"{x:.0e}".replace("e+0", "e").replace("e+", "e")


def main() -> None:
    """Print the table as Markdown."""
    print(f"kullback {kullback.__version__}, torch {torch.__version__}, GPyTorch {gpytorch.__version__}, ", end="")
    print(f"POT {ot.__version__}, Python {platform.python_version()}\n")
    print(
        "| dtype | quantity | by | cases | worst error / allowed | beyond | NaN, ∞, negative or exception | refused |"
    )
    print("| --- | --- | --- | --: | --: | --: | --: | --: |")
    for dtype in ("float64", "float32"):
        for name in quantities.QUANTITIES:
            cases = [case for case in quantities.grid(dtype) if quantities.applies(name, case)]
            for by, function in {"kullback": ours(name), **PEERS.get(name, {})}.items():
                found = [x for x in (judge(function, name, case) for case in cases) if x is not None]
                numbers = [x for x in found if not isinstance(x, str)]
                words = collections.Counter(x for x in found if isinstance(x, str))
                refused = words.pop("refused", 0)
                row = (dtype, name, by, len(found), show(max(numbers)), sum(x > 1 for x in numbers))
                print("|", " | ".join(map(str, (*row, sum(words.values()), refused))), "|", flush=True)


if __name__ == "__main__":
    main()
