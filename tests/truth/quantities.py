"""What is compared with which truth over the grid of pairs, and how far off it may be.

The contract: within 450 units in the last place, or 20 times what rounding the inputs otherwise by half a unit would
change: no algorithm that is given the rounded numbers can be asked for more.
"""

import functools

import numpy as np

import kullback
from truth import exact, pairs
from truth.records import takes

ULPS, SENSITIVITIES = 450, 20


QUANTITIES = {
    "kl_divergence": (exact.kl, kullback.kl_divergence),
    "jeffreys": (exact.jeffreys, kullback.jeffreys),
    "renyi, order 0.3": (lambda x: exact.renyi(x, 0.3), lambda p, q: kullback.renyi(p, q, 0.3)),
    "renyi, order 0.001": (lambda x: exact.renyi(x, 0.001), lambda p, q: kullback.renyi(p, q, 0.001)),
    "renyi, order 3": (lambda x: exact.renyi(x, 3.0), lambda p, q: kullback.renyi(p, q, 3.0)),
    "bhattacharyya": (exact.bhattacharyya, kullback.bhattacharyya),
    "hellinger, squared": (exact.hellinger_squared, lambda p, q: kullback.hellinger(p, q, squared=True)),
    "hellinger": (lambda x: exact.hellinger_squared(x).sqrt(), kullback.hellinger),
    "chi_squared": (exact.chi_squared, kullback.chi_squared),
    "wasserstein2, squared": (exact.wasserstein2_squared, lambda p, q: kullback.wasserstein2(p, q, squared=True)),
    "wasserstein2": (lambda x: exact.wasserstein2_squared(x).sqrt(), kullback.wasserstein2),
    "geometric_jensen_shannon": (exact.geometric_jensen_shannon, kullback.geometric_jensen_shannon),
    "cross_entropy": (exact.cross_entropy, kullback.cross_entropy),
    "entropy": (exact.entropy, lambda p, q: kullback.entropy(p)),
    "fisher_rao": (lambda x: exact.fisher_rao_squared(x).sqrt(), kullback.fisher_rao),
}


def applies(name: str, case: pairs.Case) -> bool:
    d = len(case.p.mean)
    if not takes(name, case.p.kind, case.q.kind):
        return False
    if d > 20:  # where the truth of the others takes seconds
        return name in ("kl_divergence", "fisher_rao") or (name == "bhattacharyya" and d <= 100)
    return d <= 8 or not name.startswith(("renyi, order 3", "chi_squared", "wasserstein2", "geometric"))


@functools.cache
def truths(case: pairs.Case) -> tuple[exact.Pair, list[exact.Pair]]:
    """The pair in exact numbers, and as it would be had its inputs been rounded otherwise."""
    rng = np.random.default_rng(1)
    draws = 2 if len(case.p.mean) <= 8 else 1
    return case.exact(), [pairs.exact_pair(*(g.rounded_otherwise(rng) for g in (case.p, case.q))) for _ in range(draws)]


@functools.cache
def grid(dtype: str) -> list[pairs.Case]:
    return list(pairs.cases(dtype))
