"""The divergences of the registry as functions of two Gaussians."""

import kullback
from kullback.divergences.registry import RECORDS as TABLE

RECORDS = {record.module: record for record in TABLE}


FULL = [name for name, record in RECORDS.items() if not record.diagonal_only]


def of(name: str):
    function = getattr(kullback, RECORDS[name].name)
    return (lambda p, q: function(p, q, 0.4)) if RECORDS[name].required else function
