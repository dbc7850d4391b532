"""What is passed for samples and is none: probabilities, their logarithms, histograms."""

import torch
from torch import Tensor

_OF_PROBABILITIES = (
    "The divergence of two such distributions is a sum, without any estimate: (p * (p.log() - q.log())).sum(-1), or "
    "torch's F.kl_div(log_q, log_p, log_target=True, reduction='none').sum(-1)."
)

# More bins than this a histogram has not.
_BINS = 1_000


def refuse_probabilities(x: Tensor, name: str) -> None:
    """Raise for rows, or one row, of probabilities or of their logarithms."""
    if x.ndim > 2 or x.shape[-1] < 2:
        return
    unit, x = min(10.0 * x.shape[-1] * torch.finfo(x.dtype).eps, 1e-2), x.double()
    what = (
        "is the frequencies of a histogram" if x.ndim == 1 else "holds probabilities: its rows add up to 1 (softmax?)"
    )
    if bool((x >= 0).all()) and bool(((x.sum(-1) - 1).abs() <= max(unit, 1e-6)).all()):
        raise ValueError(f"{name} {what}, not samples. {_OF_PROBABILITIES}")
    if x.ndim == 2 and bool((x <= 0).all()) and bool((x.logsumexp(-1).abs() <= max(unit, 1e-5)).all()):
        raise ValueError(
            f"{name} holds log-probabilities: their exponentials add up to 1 in each row (log_softmax?). They are not "
            f"samples. {_OF_PROBABILITIES}"
        )


def refuse_counts(x: Tensor, y: Tensor) -> None:
    """Raise for two columns of counts, as far as they can be told from samples of whole numbers."""
    if x.shape != y.shape or x.shape[1] != 1 or len(x) > _BINS:
        return
    both = torch.cat([x, y])
    whole = bool(((both >= 0) & (both == both.round())).all())
    if whole and len(torch.unique(both)) < len(both):
        raise ValueError(
            f"these are whole numbers that repeat, {len(x)} on each side: counts of a histogram? They are not samples "
            "of a density. Of counts over the same bins make frequencies, p = x / x.sum() and q = y / y.sum(), and add "
            "up p log(p / q). If they are samples of whole numbers, count how often each occurs, and do the same."
        )
