"""The truth, to fifty digits: textbook formulas in mpmath, sharing no code with the library.

At this precision cancellation does no harm, so the formulas stand here as they stand in books.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import mpmath
import torch
from mpmath import mpf

mpmath.mp.dps = 60


def variance(value: float, given: str) -> mpf:
    x = mpf(value)
    return {"std": lambda: x * x, "variance": lambda: x, "logvar": lambda: mpmath.exp(x)}[given]()


def kl(mean_p: mpf, var_p: mpf, mean_q: mpf, var_q: mpf) -> mpf:
    return (var_p / var_q - 1 - mpmath.log(var_p / var_q) + (mean_p - mean_q) ** 2 / var_q) / 2


@dataclass
class Truth:
    """The divergence of one pair of one-dimensional Gaussians, its derivatives, and their size before cancellation."""

    value: mpf
    mean_p: mpf
    scale_p: mpf
    mean_q: mpf
    scale_q: mpf
    scale_q_parts: mpf


def truth(mean_p: float, scale_p: float, given_p: str, mean_q: float, scale_q: float, given_q: str) -> Truth:
    mu_p, mu_q = mpf(mean_p), mpf(mean_q)
    var_p, var_q = variance(scale_p, given_p), variance(scale_q, given_q)
    # Derivatives of the variance with respect to what was given.
    chain_p, chain_q = (
        {"std": 2 * mpf(s), "variance": mpf(1), "logvar": v}[g]
        for s, v, g in ((scale_p, var_p, given_p), (scale_q, var_q, given_q))
    )
    delta = mu_p - mu_q
    from_scales = (1 / var_q - var_p / var_q**2) / 2 * chain_q
    from_means = -(delta**2) / var_q**2 / 2 * chain_q
    return Truth(
        value=kl(mu_p, var_p, mu_q, var_q),
        mean_p=delta / var_q,
        scale_p=(1 / var_q - 1 / var_p) / 2 * chain_p,
        mean_q=-delta / var_q,
        scale_q=from_scales + from_means,
        scale_q_parts=abs(from_scales) + abs(from_means),
    )


def truths(operands: tuple[torch.Tensor, ...], given_p: str, given_q: str) -> list[Truth]:
    mean_p, scale_p, mean_q, scale_q = (x.tolist() for x in operands)
    return [truth(a, b, given_p, c, d, given_q) for a, b, c, d in zip(mean_p, scale_p, mean_q, scale_q, strict=True)]


def ulps(got: torch.Tensor, want: Iterable[mpf], size: Iterable[mpf] | None = None) -> float:
    """The worst error in units in the last place: of eps times the true value (or of ``size``)."""
    want = list(want)
    info = torch.finfo(got.dtype)
    worst = mpf(0)
    for g, w, s in zip(got.tolist(), want, want if size is None else size, strict=True):
        unit = max(abs(s) * mpf(info.eps), mpf(info.tiny) * mpf(info.eps))
        if abs(w) > mpf(info.max):
            assert g == float("inf") * mpmath.sign(w), f"{g} where the truth, {w}, overflows"
            continue
        assert math.isfinite(g), f"{g} where the truth is {mpmath.nstr(w, 17)}"
        worst = max(worst, abs(mpf(g) - w) / unit)
    return float(worst)
