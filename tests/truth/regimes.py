"""Where divergences go wrong: pairs of one-dimensional Gaussians in every regime that users reach."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

N = 300

Pair = tuple[Tensor, Tensor, Tensor, Tensor]  # mean_p, scale_p, mean_q, scale_q


def _scale(log_std: Tensor, given: str) -> Tensor:
    return {"std": log_std.exp(), "variance": (2 * log_std).exp(), "logvar": 2 * log_std}[given]


def _draw(*sizes: float, generator: torch.Generator) -> list[Tensor]:
    return [size * torch.randn(N, dtype=torch.float64, generator=generator) for size in sizes]


def _ordinary(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    mean_p, mean_q, log_p, log_q = _draw(2, 2, 1, 1, generator=g)
    return mean_p, _scale(log_p, given), mean_q, _scale(log_q, given)


def _near_identical(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    mean, log_q, sign_mean, sign_scale = _draw(1, 1, 1, 1, generator=g)
    step = 2.0 ** -torch.randint(1, 51, (N,), generator=g).double()
    # Rounded first, so that the step survives wherever the dtype can hold it.
    mean, scale = mean.to(dtype).double(), _scale(log_q, given).to(dtype).double()
    moved = scale + step * sign_scale.sign() if given == "logvar" else scale * (1 + step * sign_scale.sign())
    return mean * (1 + step * sign_mean.sign()), moved.abs(), mean, scale


def _extreme_ratio(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    mean_p, mean_q = _draw(1, 1, generator=g)
    limit = 20.0 if dtype == torch.float32 else 170.0
    log_p, log_q = (limit * (2 * torch.rand(N, dtype=torch.float64, generator=g) - 1) for _ in range(2))
    return mean_p, _scale(log_p, given), mean_q, _scale(log_q, given)


def _extreme_scale(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    """Log-variances of ±80 (float32) and ±700 (float64) on both sides, close together; means a few stds apart."""
    limit = 40.0 if dtype == torch.float32 else 350.0
    log_q = limit * torch.sign(torch.randn(N, dtype=torch.float64, generator=g))
    z, near, jitter = _draw(1, 0.3, 0.02, generator=g)
    log_q = log_q * (1 - jitter.abs())
    return z * log_q.exp(), _scale(log_q + near, given), torch.zeros_like(z), _scale(log_q, given)


def _tiny_std(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    log_std = math.log(1e-25 if given != "variance" or dtype == torch.float64 else 1e-16)
    z, log_p, log_q = _draw(1, 0.5, 0.5, generator=g)
    log_p, log_q = log_p + log_std, log_q + log_std
    return z * log_q.exp(), _scale(log_p, given), torch.zeros_like(z), _scale(log_q, given)


def _offset_means(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    mean_p, mean_q, log_p, log_q = _draw(1e-3, 1e-3, 0.1, 0.1, generator=g)
    shift = math.log(1e-3)
    return 1e4 + mean_p, _scale(log_p + shift, given), 1e4 + mean_q, _scale(log_q + shift, given)


def _nearly_collapsed(given: str, dtype: torch.dtype, g: torch.Generator) -> Pair:
    """Posteriors that have almost become the prior, as most dimensions of an over-regularized VAE have."""
    mean_p, log_p = _draw(1e-3, 1e-3, generator=g)
    zero = torch.zeros_like(mean_p)
    return mean_p, _scale(log_p, given), zero, _scale(zero, given)


REGIMES: dict[str, Callable[[str, torch.dtype, torch.Generator], Pair]] = {
    "ordinary": _ordinary,
    "near-identical, 2^-1 ... 2^-50": _near_identical,
    "log-variances up to 40 (float64: 340), unrelated": _extreme_ratio,
    "log-variances near 80 (float64: 700)": _extreme_scale,
    "std 1e-25": _tiny_std,
    "means 1e4, std 1e-3": _offset_means,
    "nearly collapsed": _nearly_collapsed,
}


def pair(regime: str, given: str, dtype: torch.dtype, seed: int = 0) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    mean_p, scale_p, mean_q, scale_q = (x.to(dtype) for x in REGIMES[regime](given, dtype, generator))
    return mean_p, scale_p, mean_q, scale_q
