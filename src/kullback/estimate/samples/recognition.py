"""Recognizes arrays that are often passed as samples and are none: probabilities, their logarithms, counts."""

import torch
from torch import Tensor

from kullback.estimate.samples.effective_size import SIGNIFICANCE, is_sorted
from kullback.numerics.arrays import ArrayKind

_FOR_PROBABILITIES = (
    "The divergence of two such distributions is a sum and needs no estimate: (p * (p.log() - q.log())).sum(-1), or "
    "torch's F.kl_div(log_q, log_p, log_target=True, reduction='none').sum(-1)."
)

# The largest number of bins of a histogram.
_MOST_BINS = 1_000

# The correlation, number by number, from which on two arrays belong to the same draws, where that is no chance; and the
# fewest numbers.
_PAIRED, _FEWEST_PAIRS = 0.5, 20

# Logarithms of probabilities are not positive, but by the error of what computed them.
_MOST_POSITIVE = 0.05


def refuse_probabilities(x: Tensor, name: str) -> None:
    """Refuse rows of probabilities or of log-probabilities, and a single row of probabilities.

    Raises:
        ValueError: if the rows of ``x`` sum to 1, or their exponentials do, up to the rounding of its dtype.
    """
    if x.ndim > 2 or x.shape[-1] < 2:
        return
    rounding, x = min(10.0 * x.shape[-1] * torch.finfo(x.dtype).eps, 1e-2), x.double()
    what = (
        "is the frequencies of a histogram" if x.ndim == 1 else "holds probabilities: its rows add up to 1 (softmax?)"
    )
    if bool((x >= 0).all()) and bool(((x.sum(-1) - 1).abs() <= max(rounding, 1e-6)).all()):
        raise ValueError(f"{name} {what}, not samples. {_FOR_PROBABILITIES}")
    if x.ndim == 2 and bool((x <= 0).all()) and bool((x.logsumexp(-1).abs() <= max(rounding, 1e-5)).all()):
        raise ValueError(
            f"{name} holds log-probabilities: their exponentials add up to 1 in each row (log_softmax?). They are not "
            f"samples. {_FOR_PROBABILITIES}"
        )


def refuse_counts(x: Tensor, y: Tensor) -> None:
    """Refuse two histograms, as far as they can be told from samples of whole numbers.

    Raises:
        ValueError: if both are short columns of non-negative whole numbers, equally many, of which some repeat.
    """
    if x.shape != y.shape or x.shape[1] != 1 or len(x) > _MOST_BINS:
        return
    both = torch.cat([x, y])
    whole = bool(((both >= 0) & (both == both.round())).all())
    if whole and len(torch.unique(both)) < len(both):
        raise ValueError(
            f"these are whole numbers that repeat, {len(x)} on each side: counts of a histogram? They are not samples "
            "of a density. For counts over the same bins compute frequencies, p = x / x.sum() and q = y / y.sum(), and "
            "sum p log(p / q). For samples of whole numbers count how often each number occurs, and do the same."
        )


def refuse_paired_log_probabilities(x: Tensor, y: Tensor, kind: ArrayKind) -> None:
    """Refuse the log-probabilities that two models give to the same draws, such as the tokens of a text.

    Raises:
        ValueError: for two different arrays of one shape, with hardly a positive number, that are correlated number
            by number, far beyond chance. Samples that are sorted by a coordinate are correlated anyhow.
    """
    if x.shape != y.shape or x.numel() < _FEWEST_PAIRS or x.equal(y) or (x.equal(x.round()) and y.equal(y.round())):
        return
    if max(float((v > 0).double().mean()) for v in (x, y)) > _MOST_POSITIVE:
        return
    if any(is_sorted(v.reshape(len(v), -1)) is not None for v in (x, y)):
        return
    both = torch.stack([(v.double() - v.double().mean(0)).flatten() for v in (x, y)])
    ranks = both.argsort(1).argsort(1).double()  # whose correlation does not rest on a few far values
    if not min(float(torch.corrcoef(v)[0, 1]) for v in (both, ranks)) > max(_PAIRED, _by_chance(x.numel())):
        return
    module = "np" if kind is ArrayKind.NUMPY else "torch"
    raise ValueError(
        "p and q hold hardly a positive number and are correlated number by number: the log-probabilities that two "
        "models give to the same drawn tokens? They are not samples. The divergence of the model of p, if it drew the "
        f"tokens, from the model of q is the mean of k3 over tokens: r = q - p; ({module}.expm1(r) - r).mean(). For "
        "samples of negative numbers shuffle the rows of one: pairs say nothing."
    )


def _by_chance(n: int) -> float:
    """The correlation that n independent pairs exceed with the probability ``SIGNIFICANCE``, by Student's t."""
    from scipy.special import stdtrit

    t = float(stdtrit(n - 2, 1 - SIGNIFICANCE))
    return float(t / (n - 2 + t * t) ** 0.5)
