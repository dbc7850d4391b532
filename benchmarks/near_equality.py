"""Claim: torch.distributions loses the divergence as p approaches q; kullback keeps it. Draws the README's figure.

At each distance h, 500 pairs N(m, s) and N(m + h s z, s (1 + h)) with s between 1/2 and 2, in float32 and float64: the
median relative error against fifty digits, computed from the very numbers that both libraries are given.

    python benchmarks/near_equality.py docs/images/near_equality.svg
"""

import sys
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from truth import oracle
from truth.oracle import mpf

from kullback import kl_divergence


def median_errors(h: float, dtype: torch.dtype) -> tuple[float, float]:
    """The median relative errors of kullback and of torch at distance ``h``."""
    generator = torch.Generator().manual_seed(0)
    mean, z, log_std = (torch.randn(500, dtype=torch.float64, generator=generator) for _ in range(3))
    std = (0.5 * log_std).exp().clamp(0.5, 2.0)
    operands = tuple(x.to(dtype) for x in (mean + h * std * z, std * (1 + h), mean, std))
    truth = [t.value for t in oracle.truths(operands, "std", "std")]
    p, q = torch.distributions.Normal(*operands[:2]), torch.distributions.Normal(*operands[2:])
    medians = []
    for function in (kl_divergence, torch.distributions.kl_divergence):
        got = function(p, q).tolist()
        errors = [float(abs(mpf(g) - t) / t) for g, t in zip(got, truth, strict=True) if t]
        medians.append(max(sorted(errors)[len(errors) // 2], 1e-17))
    return medians[0], medians[1]


def main() -> None:
    """Print the figures and draw them."""
    distances = [2.0**-k for k in range(25)]
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    for dtype, style in ((torch.float32, "-"), (torch.float64, "--")):
        # Below its own precision a dtype cannot hold the distance.
        kept = [h for h in distances if h > 2 * torch.finfo(dtype).eps]
        ours, theirs = zip(*(median_errors(h, dtype) for h in kept), strict=True)
        name = str(dtype).removeprefix("torch.")
        axes.plot(kept, theirs, style, color="#d8560f", label=f"torch.distributions, {name}")
        axes.plot(kept, ours, style, color="#2b62d9", label=f"kullback, {name}")
        for h, a, b in zip(kept[::4], ours[::4], theirs[::4], strict=True):
            print(f"{name}  h {h:.1e}  kullback {a:.1e}  torch {b:.1e}")
    axes.axhline(1, color="#888888", linewidth=0.8)
    axes.set(
        xscale="log", yscale="log", xlabel="relative difference between p and q", ylabel="median relative error of KL"
    )
    axes.set_title("KL(p‖q) as p approaches q: how wrong is it?", fontsize=11)
    axes.invert_xaxis()
    axes.legend(fontsize=8, loc="center right", bbox_to_anchor=(1, 0.36))
    with matplotlib.rc_context({"svg.hashsalt": "near_equality"}):
        figure.savefig(sys.argv[1], metadata={"Date": None} if sys.argv[1].endswith("svg") else None)
    print(f"wrote {sys.argv[1]}")


if __name__ == "__main__":
    main()
