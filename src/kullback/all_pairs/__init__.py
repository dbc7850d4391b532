"""Divergences of all Gaussians of one batch from all of another.

- ``pairwise.py``: the matrix of all divergences, and vectors for a vector index.
- ``nearest.py``: the nearest Gaussians, without that matrix; ``by_products.py``: those of a block, by matrix products.
- ``blocks.py``: two batches cut into blocks, for an engine; ``stored_matrix.py``: the matrix in a file.
- ``expanded.py``: the Kullback–Leibler divergence as an inner product, with a bound of its rounding error.
- ``one_pass.py``: distances of full covariances without a decomposition for each pair, with such a bound.

May import ``divergences/`` and what comes before. Next: ``losses/``.
"""
