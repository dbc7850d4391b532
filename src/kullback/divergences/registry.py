"""Every divergence that has a record, by the name of its file."""

import importlib

from kullback.divergences import NAMES
from kullback.divergences.formula import REGISTRY, Divergence


def divergences() -> dict[str, Divergence]:
    """All of them, in the order in which people look for them."""
    modules = {name: importlib.import_module(f"kullback.divergences.{name}").__name__ for name in NAMES}
    by_module = {divergence.function.__module__: divergence for divergence in REGISTRY.values()}
    return {name: by_module[module] for name, module in modules.items()}
