"""A change of coordinates that brings one batch of Gaussians as close to another as it can.

- ``align.py``: the public function: a fit on one half of the rows, and what it is worth on the other half.
- ``fits.py``: the best map of each kind: ``permutation.py``, ``orthogonal.py`` and ``affine.py`` fit one each, by
  ``descent.py`` where there is no closed form.
- ``objectives.py``: the mean divergence as a function of the map, from moments or from rows; ``moments.py``: these
  moments, which add up over rows; ``fitting.py``: all that is kept of rows that maps are fitted to; ``rows.py``: some
  rows of a batch.
- ``maps.py``: a map, and the divergences that are left after it; ``alignment.py``: the result.

May import ``approximations/`` and what comes before. Next: ``io/``.
"""
