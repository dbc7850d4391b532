"""Claim: every divergence and gradient is right to a few units in the last place, where torch.distributions is not.

For every regime of the test suite's oracle grid (300 one-dimensional pairs for each parameterization), the worst error
of values and of gradients, in units in the last place (eps times the true value; for the gradient with respect to q's
scale, a sum of two parts, times their absolute sum). Beside it torch.distributions on the same numbers, from the
standard deviations that a user would pass (exp(logvar / 2), sqrt(variance)).

    python benchmarks/accuracy.py
"""

import math
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mpmath import mpf
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from truth import oracle
from truth.kinds import DIAGONAL
from truth.regimes import REGIMES, pair

import kullback
from kullback import Gaussian, kl_divergence

MAKE = {"std": Gaussian.from_std, "variance": Gaussian.from_variance, "logvar": Gaussian.from_logvar}
TO_STD: dict[str, Callable[[Tensor], Tensor]] = {
    "std": lambda s: s,
    "variance": torch.sqrt,
    "logvar": lambda s: torch.exp(0.5 * s),
}


def ours(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor, given: str) -> Tensor:
    """kullback, from what was given."""
    make = MAKE[given]
    return kl_divergence(make(mean_p, scale_p, event_dims=0), make(mean_q, scale_q, event_dims=0))


def torchs(mean_p: Tensor, scale_p: Tensor, mean_q: Tensor, scale_q: Tensor, given: str) -> Tensor:
    """torch.distributions, from standard deviations."""
    convert = TO_STD[given]
    p = torch.distributions.Normal(mean_p, convert(scale_p), validate_args=False)
    q = torch.distributions.Normal(mean_q, convert(scale_q), validate_args=False)
    return torch.distributions.kl_divergence(p, q)


def errors(got: Tensor, want: list[mpf], size: list[mpf]) -> list[float]:
    """The error of each element in units in the last place; infinite for NaN, infinity and a negative divergence."""
    info = torch.finfo(got.dtype)
    result = []
    for g, w, s in zip(got.tolist(), want, size, strict=True):
        if abs(w) > mpf(info.max):
            continue
        unit = max(abs(s) * mpf(info.eps), mpf(info.tiny) * mpf(info.eps))
        result.append(float(abs(mpf(g) - w) / unit) if math.isfinite(g) else math.inf)
    return result


def worst(function: Callable[..., Tensor], regime: str, dtype: torch.dtype) -> tuple[float, float]:
    """The worst error of values and of gradients over the parameterizations."""
    values, gradients = [0.0], [0.0]
    for given in DIAGONAL:
        operands = tuple(x.requires_grad_() for x in pair(regime, given, dtype))
        truths = oracle.truths(operands, given, given)
        value = function(*operands, given)
        values += errors(value, [t.value for t in truths], [t.value for t in truths])
        for name, gradient in zip(
            ("mean_p", "scale_p", "mean_q", "scale_q"), torch.autograd.grad(value.sum(), operands), strict=True
        ):
            size = "scale_q_parts" if name == "scale_q" else name
            # Gradients come back in the dtype of the operands, however they were computed.
            gradients += errors(gradient, [getattr(t, name) for t in truths], [getattr(t, size) for t in truths])
    return max(values), max(gradients)


def show(x: float) -> str:
    """An error for the table."""
    if math.isinf(x):
        return "NaN or ∞"
    return f"{x:.1f}" if x < 1000 else f"{x:.0e}".replace("e+0", "e").replace("e+", "e")


def main() -> None:
    """Print the table as Markdown."""
    print(
        f"kullback {kullback.__version__}, torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()} CPU, ",
        end="",
    )
    print(
        f"Python {platform.python_version()}; worst error in units in the last place, kullback | torch.distributions\n"
    )
    print("| dtype | regime | values: kullback | torch | gradients: kullback | torch |")
    print("| --- | --- | --: | --: | --: | --: |")
    for dtype in (torch.float32, torch.float64):
        for regime in REGIMES:
            (value, gradient), (their_value, their_gradient) = (worst(f, regime, dtype) for f in (ours, torchs))
            cells = " | ".join(map(show, (value, their_value, gradient, their_gradient)))
            print(f"| {str(dtype).removeprefix('torch.')} | {regime} | {cells} |", flush=True)
    for dtype in (torch.bfloat16, torch.float16):
        (value, gradient), (their_value, their_gradient) = (worst(f, "ordinary", dtype) for f in (ours, torchs))
        cells = " | ".join(map(show, (value, their_value, gradient, their_gradient)))
        print(f"| {str(dtype).removeprefix('torch.')} | ordinary | {cells} |")
    print(
        "\nValues from bfloat16 and float16 are computed in, and measured in units of, float32 by kullback; torch's are"
    )
    print("in units of the dtype itself. Gradients are in the dtype of the inputs.")


if __name__ == "__main__":
    main()
