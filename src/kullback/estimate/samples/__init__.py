"""Estimates of the Kullback–Leibler divergence where p, q or both are known by samples alone.

- ``from_samples.py`` is the entry; ``reading.py`` and ``recognition.py`` check what the caller passed.
- ``methods.py`` lists the methods by name: ``calibrated.py``, the default, and its two parts in ``plain.py``.
- ``plugin.py``: unbiased estimates for Gaussians; ``neighbours.py``: nearest-neighbour estimates, from
  ``distances.py``; ``gaussianize.py``: maps that make marginals normal; ``result.py``: the result of a method.
"""
