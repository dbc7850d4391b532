"""Approximations of the divergence of mixtures, by the names that papers give them; see ``mixtures.py``.

Except in special cases none of them is a bound, and none comes with an error.

May import ``estimate/`` and what comes before. Next: ``alignment/``.
"""

from kullback.approximations.mixtures import matched, moment_matched, product, unscented, variational

__all__ = ["matched", "moment_matched", "product", "unscented", "variational"]
