"""Formulas of papers for the divergence of mixtures, by their names (``mixtures.py``); none is a bound or knows its error.

May import ``estimate/`` and what comes before.
"""

from kullback.approximations.mixtures import matched, moment_matched, product, unscented, variational

__all__ = ["matched", "moment_matched", "product", "unscented", "variational"]
