"""A change of coordinates that brings one batch of Gaussians as close to another as it can.

- ``align.py``: the public function: a fit on one half of the rows, and what it is worth on the other half.
- ``permutation.py``, ``orthogonal.py``, ``affine.py``: one kind of map each, fitted to an objective.
- ``objectives.py``: the mean divergence as a function of the map, from moments or from rows; ``moments.py``: these
  moments, which add up over rows.
- ``maps.py``: a map, and the divergences that are left after it; ``alignment.py``: the result.

May import ``approximations/`` and what comes before. Next: ``io/``.
"""
