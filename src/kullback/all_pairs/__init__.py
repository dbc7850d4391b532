"""Divergences of all Gaussians of one batch from all of another.

- ``pairwise.py``: the matrix of all divergences, and vectors for a vector index.
- ``nearest.py``: the nearest Gaussians, without that matrix.
- ``expanded.py``: the Kullback–Leibler divergence as an inner product, with a bound of its rounding error.

May import ``divergences/`` and what comes before. Next: ``losses/``.
"""
