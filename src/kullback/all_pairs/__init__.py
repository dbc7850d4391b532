"""Every Gaussian of one batch against every one of another.

``pairwise.py``: the matrix of divergences, and vectors whose inner products they are; ``nearest.py``: the nearest Gaussians,
without that matrix; ``expanded.py``: divergences as inner products, and how far rounding may put these off. May import
``divergences/`` and what comes before.
"""
