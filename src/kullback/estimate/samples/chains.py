r"""Rows that depend on the row before, as those of Markov chains: thinned until they are as good as independent.

Of rows with the autocorrelation time :math:`\tau`, the number of rows for one independent one, every s-th is kept, s
being :math:`\tau` rounded. What is left has the autocorrelation :math:`r = (\tfrac{\tau - 1}{\tau + 1})^s`, as in an
autoregression of first order with the same :math:`\tau`, and the variance of an average is :math:`\tfrac{1 + r}{1 - r}`
times that of independent rows: 1.31 for long :math:`\tau`.

Rows that are like the L-th before and unlike those between are the draws of L chains of which each gives a row in turn.
"""

from dataclasses import replace

from kullback.estimate.samples.effective_size import is_sorted, period, smallest_effective_size
from kullback.estimate.samples.reading import Samples
from kullback.numerics.guard import in_function_transform

SHUFFLE = "If the order of the rows means nothing (they are grouped, say), shuffle them first"


def thinned(samples: Samples) -> Samples:
    """The samples, without the rows that tell nothing new; all of them where their order shows no dependence."""
    n, d = samples.rows.shape
    if in_function_transform():
        said = f"inside a transform of torch.func the rows of {samples.name} are taken for independent, in any order"
        return replace(samples, warnings=(*samples.warnings, said))
    by = is_sorted(samples.rows.detach()) if samples.n_chains == 1 else None
    if by is not None:
        said = f"{samples.name} is sorted by coordinate {by}: its rows are taken for independent, in any order"
        return replace(samples, warnings=(*samples.warnings, said))
    samples = _told_apart(samples)
    n = len(samples)
    effective = smallest_effective_size(samples.rows.detach().cpu().numpy().reshape(samples.n_chains, -1, d))
    if effective is None or effective >= n:
        return samples
    tau = n / effective
    stride = max(1, round(tau))
    left = ((tau - 1) / (tau + 1)) ** stride
    used = f"one in {stride:,} is used" if stride > 1 else "all are used"
    said = (
        f"the rows of {samples.name} are autocorrelated: {n:,} are worth {effective:,.0f} independent ones (effective "
        f"sample size); {used}, and the error allows for it. {SHUFFLE}"
    )
    values, kept = (
        x.reshape(samples.n_chains, -1, *x.shape[1:])[:, ::stride].flatten(0, 1) for x in (samples.values, samples.rows)
    )
    inflation = (1 + left) / (1 - left)
    return replace(samples, values=values, rows=kept, inflation=inflation, given=n, warnings=(*samples.warnings, said))


def _told_apart(samples: Samples) -> Samples:
    """The rows of one chain after those of another, where they came in turn, up to the last whole turn."""
    length = period(samples.rows.detach().cpu().numpy()) if samples.n_chains == 1 else None
    if length is None:
        return samples
    n = len(samples)
    left_out = f", without the last {n % length} rows" if n % length else ""
    said = (
        f"the rows of {samples.name} are like the {length}th before them and unlike those between: they are taken as "
        f"{length} chains of {n // length:,} draws that give a row in turn{left_out}"
    )
    values, rows = (
        x[: n - n % length].reshape(-1, length, *x.shape[1:]).transpose(0, 1).flatten(0, 1)
        for x in (samples.values, samples.rows)
    )
    return replace(samples, values=values, rows=rows, n_chains=length, warnings=(*samples.warnings, said))
