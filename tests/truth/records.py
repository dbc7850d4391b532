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
