"""The divergences of the registry as functions of two Gaussians."""

import kullback
from kullback.divergences.registry import RECORDS as TABLE
from truth.kinds import DIAGONAL

RECORDS = {record.module: record for record in TABLE}
FULL = [name for name, record in RECORDS.items() if not record.diagonal_only]


def takes(name: str, *kinds: str) -> bool:
    """Whether a divergence has a closed form for Gaussians of these kinds; what is not in the registry takes every."""
    return name not in RECORDS or not RECORDS[name].diagonal_only or all(kind in DIAGONAL for kind in kinds)


def of(name: str):
    function = getattr(kullback, RECORDS[name].name)
    return (lambda p, q: function(p, q, 0.4)) if RECORDS[name].required else function


FUNCTIONS = {
    **{record.module: getattr(kullback, record.name) for record in TABLE},
    "renyi": lambda p, q: kullback.renyi(p, q, 0.3),
    "renyi above 1": lambda p, q: kullback.renyi(p, q, 1.1),
    "hellinger": lambda p, q: kullback.hellinger(p, q, squared=True),
    "wasserstein2": lambda p, q: kullback.wasserstein2(p, q, squared=True),
    "fisher_rao": lambda p, q: kullback.fisher_rao(p, q, squared=True),
    "cross_entropy": kullback.cross_entropy,
    "entropy": lambda p, q: kullback.entropy(p) + kullback.entropy(q),
    "kl_decomposition": lambda p, q: sum(kullback.kl_decomposition(p, q)[:2]),
    "fisher_rao_bounds": lambda p, q: sum(kullback.fisher_rao_bounds(p, q)),
}
"""Every divergence, as a function of two Gaussians that is smooth."""
